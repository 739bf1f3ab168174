// Elements and text. What comes from the server becomes a text node or an attribute, never markup.

/** The element with this id. */
export const byId = (id) => document.getElementById(id);

/**
 * Build an element: `make("button", { class: "primary", on: { click: go } }, "Go")`.
 * `on` holds listeners, `data` data attributes; true sets an empty attribute, false, null and undefined none.
 */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "on") for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    else if (name === "data") Object.assign(element.dataset, value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Replace everything inside an element. */
export function fill(element, ...children) {
  element.replaceChildren(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Set text only where it changed, so that nothing is laid out again for nothing. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

const SVG = "http://www.w3.org/2000/svg";

/** Build an SVG element; text only as children. */
export function makeSvg(tag, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** A name of a label that may break after an underscore, dash, dot or slash. */
export function breakable(name) {
  const parts = name.split(/(?<=[_\-./])/u);
  return parts.flatMap((part, n) => (n ? [document.createElement("wbr"), part] : [part]));
}
