// Requests to this service. A login that has ended is renewed in a dialog, and the request is repeated.
import { logIn } from "./login.js";

export class Unreachable extends Error {}

const once = async (path, { method, body, headers, keepalive }) => {
  const given = { Accept: "application/json", ...headers };
  if (body !== undefined) given["Content-Type"] = "application/json";
  const asked = { method, headers: given, keepalive, body: body && JSON.stringify(body) };
  let answer;
  try {
    answer = await fetch(path, asked);
  } catch (error) {
    throw new Unreachable(String(error));
  }
  const isJson = (answer.headers.get("Content-Type") || "").startsWith("application/json");
  return { status: answer.status, data: isJson ? await answer.json() : {} };
};

export const request = async (path, options = {}) => {
  const asked = { method: "GET", ...options };
  const answer = await once(path, asked);
  if (answer.status !== 401 || asked.quiet) return answer;
  return (await logIn()) ? once(path, asked) : answer;
};

export const newKey = () =>
  Array.from(crypto.getRandomValues(new Uint8Array(16)), (each) => each.toString(16).padStart(2, "0")).join("");
