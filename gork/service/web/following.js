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
 * Go to the top of an element; what is written later does not move the page then.
 * @param {Element} target
 */
export function goTo(target) {
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  following = false;
  target.scrollIntoView({ block: "start", behavior: still ? "instant" : "smooth" });
}
