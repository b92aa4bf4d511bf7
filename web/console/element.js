// Elements of the page.

/** An element with these properties and children; strings become text, never HTML. */
export function create(name, properties, ...children) {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children);
  return element;
}
