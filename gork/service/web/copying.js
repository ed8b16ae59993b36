// Copying to the clipboard, also where the browser gives pages without TLS no clipboard.

/**
 * Copy a text and say so on the button.
 * @param {string} text
 * @param {HTMLElement} button
 */
export async function copy(text, button) {
  const label = button.querySelector("span:last-child") ?? button;
  const before = button.dataset.label ?? label.textContent ?? "";
  button.dataset.label = before;
  label.textContent = (await toClipboard(text)) ? "Copied" : "Could not copy";
  setTimeout(() => {
    label.textContent = before;
  }, 1600);
}

/** @param {string} text */
async function toClipboard(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return bySelection(text);
  }
}

/** @param {string} text */
function bySelection(text) {
  const focused = /** @type {HTMLElement | null} */ (document.activeElement);
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "unseen";
  area.readOnly = true;
  document.body.append(area);
  area.select();
  const copied = document.execCommand("copy");
  area.remove();
  focused?.focus({ preventScroll: true });
  return copied;
}

/**
 * Give each block of code below an element its button.
 * @param {ParentNode} root
 */
export function addCopyButtons(root) {
  for (const head of root.querySelectorAll(".code-head")) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "quiet small";
    button.textContent = "Copy";
    button.setAttribute("aria-label", "Copy the code");
    const code = head.parentElement?.querySelector("code");
    button.addEventListener("click", () => copy(code?.textContent ?? "", button));
    head.append(button);
  }
}
