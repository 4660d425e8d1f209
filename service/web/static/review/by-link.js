// A study that a link opened before it had a draft: the page follows its state, and opens the draft.
import { follow } from "../live.js";
import { trustedHTML } from "../trusted.js";

const { follow: view, again } = document.getElementById("by-link").dataset;
let isAsking = false;

const ask = async () => {
  if (isAsking) return;
  isAsking = true;
  const answer = await fetch(again, { headers: { Accept: "text/html" } }).catch(() => null);
  isAsking = false;
  if (!answer?.ok) return; // the next change asks again
  if (answer.redirected) { location.replace(answer.url); return; }
  const fresh = new DOMParser().parseFromString(trustedHTML(await answer.text()), "text/html").getElementById("state");
  const state = document.getElementById("state");
  if (fresh && fresh.textContent !== state.textContent) state.replaceChildren(...fresh.childNodes);
};

follow(view, ({ parts }) => { if (parts.status) ask(); }, new AbortController().signal);
