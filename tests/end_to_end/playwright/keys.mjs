// A person without a mouse.
import { expect } from "./support.mjs";

// Makes each use of a pointer an error of the test.
export const withoutMouse = (page) =>
  page.addInitScript(() => {
    for (const kind of ["pointerdown", "mousedown", "touchstart"]) {
      document.addEventListener(kind, () => console.error(`a pointer was used: ${kind}`), true);
    }
  });

// The element with the focus, if the focus can be seen: an outline around an element on the screen.
const focus = (page) =>
  page.evaluate(() => {
    const element = document.activeElement;
    const style = getComputedStyle(element);
    const box = element.getBoundingClientRect();
    return {
      name: element.id || element.getAttribute("name") || element.textContent.trim().slice(0, 60),
      isBody: element === document.body,
      outlined: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2,
      onScreen: box.width > 0 && box.height > 0 && box.top < innerHeight && box.bottom > 0,
    };
  });

export const expectVisibleFocus = async (page) => {
  const found = await focus(page);
  expect(found, "the element with the focus").toMatchObject({ isBody: false, outlined: true, onScreen: true });
  return found.name;
};

// Presses a key until the script holds for the element with the focus.
export const pressUntil = async (page, key, holds, argument) => {
  for (let presses = 0; presses < 40; presses += 1) {
    if (await page.evaluate(holds, argument)) return;
    await page.keyboard.press(key);
    await expectVisibleFocus(page);
  }
  throw new Error(`40 times ${key} did not reach the element`);
};
