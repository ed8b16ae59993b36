// Scrolling with what is being written, but only for whoever is at the end of the page.

const NEAR = 72;
const root = document.documentElement;
let following = true;

const atEnd = () => root.scrollHeight - innerHeight - scrollY < NEAR;

/** Watch where the user is. */
export function watch() {
  addEventListener("scroll", () => (following = atEnd()), { passive: true });
}

/** Whether the user is at the end of the page. */
export const isFollowing = () => following;

/** Stay at the end, if that is where the user is. */
export function follow() {
  if (following && !atEndExactly()) scrollTo({ top: root.scrollHeight, behavior: "instant" });
}

const atEndExactly = () => root.scrollHeight - innerHeight - scrollY < 1;

/** Go to the end, wherever the user is. */
export function goToEnd() {
  following = true;
  scrollTo({ top: root.scrollHeight, behavior: "instant" });
}

/**
 * Scroll so that an element that was moved is where it was on the screen.
 * @param {Element} target
 * @param {number} top where it was
 */
export function keepInPlace(target, top) {
  const moved = target.getBoundingClientRect().top - top;
  if (!moved) return;
  // The browser's own anchoring would do the same once more, at the next frame.
  root.style.overflowAnchor = "none";
  scrollBy({ top: moved, behavior: "instant" });
  requestAnimationFrame(() => requestAnimationFrame(() => (root.style.overflowAnchor = "")));
}

/**
 * Whether the top of an element is on the screen.
 * @param {Element} target
 */
export function isNear(target) {
  const { top } = target.getBoundingClientRect();
  return top >= 0 && top < innerHeight / 2;
}

/**
 * Go to the top of an element; what is written later does not move the page then.
 * @param {Element} target
 */
export function goTo(target) {
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  following = false;
  target.scrollIntoView({ block: "start", behavior: still ? "instant" : "smooth" });
}
