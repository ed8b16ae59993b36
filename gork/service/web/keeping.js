// Small things that the browser keeps, in this tab or beyond it; where it keeps nothing they last as long as the page.

/** @typedef {"session" | "local"} Where */

/** @param {Where} where */
const storage = (where) => (where === "session" ? sessionStorage : localStorage);

/**
 * @param {Where} where
 * @param {string} key
 */
export function kept(where, key) {
  try {
    return storage(where).getItem(key);
  } catch {
    return null;
  }
}

/**
 * @param {Where} where
 * @param {string} key
 * @param {string} value
 */
export function keep(where, key, value) {
  try {
    storage(where).setItem(key, value);
  } catch {
    forget(where, key); // it lasts as long as the page; what was kept before it is worse than nothing
  }
}

/**
 * @param {Where} where
 * @param {string} key
 */
function forget(where, key) {
  try {
    storage(where).removeItem(key);
  } catch {
    // then nothing was kept
  }
}
