// Elements from names; text is always text, never markup: names of devices come from outside.
export function h(tag, properties, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class") element.className = value;
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat().filter((c) => c !== null && c !== undefined && c !== false));
  return element;
}

// The same for a drawing. Styles come from the style sheet or as attributes: the page's security policy allows no others.
export function draw(tag, properties, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(properties || {})) if (value !== null && value !== undefined) element.setAttribute(name, String(value));
  element.append(...children.flat().filter((c) => c !== null && c !== undefined));
  return element;
}

// Changes the text only when it differs, so that nothing repaints or is read out in vain.
export function say(element, words) {
  if (element.textContent !== words) element.textContent = words;
}

export function level(element, name) {
  if (element.dataset.level !== name) element.dataset.level = name;
}

export const announce = (words) => { document.getElementById("announce").textContent = words; };
