// Scrolling with what is being written, but only for whoever is at the end of the page.

const NEAR = 72;
const root = document.documentElement;
let following = true;
/** Where the page was last seen, or put. */
let seen = 0;

const atEnd = () => root.scrollHeight - innerHeight - scrollY < NEAR;

/** Watch where the user is. */
export function watch() {
  follows(true);
  addEventListener(
    "scroll",
    () => {
      // What came or went meanwhile may have moved the end away from somebody at the end: only who goes up leaves it.
      follows(atEnd() || (following && scrollY >= seen));
      seen = scrollY;
    },
    { passive: true },
  );
}

/** @param {boolean} does whether the page stays at its end */
function follows(does) {
  following = does;
  // The browser's own anchoring moves the page where what is far from the screen has another size than it was thought to have.
  const anchor = does ? "none" : "";
  if (root.style.overflowAnchor !== anchor) root.style.overflowAnchor = anchor;
}

/** Whether the user is at the end of the page. */
export const isFollowing = () => following;

/** Stay at the end, if that is where the user is. */
export function follow() {
  if (following && root.scrollHeight - innerHeight - scrollY >= 1) goToEnd();
}

/** Go to the end, wherever the user is. */
export function goToEnd() {
  follows(true);
  scrollTo({ top: root.scrollHeight, behavior: "instant" });
  seen = scrollY;
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
  seen = scrollY;
  requestAnimationFrame(() => requestAnimationFrame(() => follows(following)));
}

/**
 * Whether the top of an element is on the screen.
 * @param {Element} target
 */
export function isNear(target) {
  const { top } = target.getBoundingClientRect();
  return top >= 0 && top < innerHeight / 2;
}

/** Stay here, wherever the end goes. */
export function leave() {
  follows(false);
}

/**
 * Bring something that was opened onto the screen, as far as it fits.
 * @param {Element} target
 */
export function reveal(target) {
  leave();
  target.scrollIntoView({ block: "nearest", behavior: "instant" });
}

/**
 * Go to the top of an element; what is written later does not move the page then.
 * @param {Element} target
 */
export function goTo(target) {
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  follows(false);
  target.scrollIntoView({ block: "start", behavior: still ? "instant" : "smooth" });
}
