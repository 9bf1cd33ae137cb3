// Elements. Whatever comes from outside becomes text, never markup.

const SVG = "http://www.w3.org/2000/svg";

const $ = (id) => document.getElementById(id);

function put(node, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "on") for (const [event, work] of Object.entries(value)) node.addEventListener(event, work);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  for (const child of children.flat()) {
    if (child === null || child === undefined || child === "") continue;
    node.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return node;
}

const el = (tag, properties = {}, ...children) => put(document.createElement(tag), properties, children);
const svg = (tag, properties = {}, ...children) => put(document.createElementNS(SVG, tag), properties, children);

/** Change a text only where it differs, so that nothing is read out twice. */
function say(id, text) {
  const node = typeof id === "string" ? $(id) : id;
  if (node.textContent !== text) node.textContent = text;
}

/** A number with a smaller unit behind it. */
function figure(id, number, unit = "") {
  const node = $(id);
  const text = number + unit;
  if (node.textContent === text) return;
  node.replaceChildren(String(number), unit ? el("span", { class: "unit" }, unit) : "");
}

/** One of several, as radio buttons; `changed` gets the value. */
function choice(id, values, chosen, changed) {
  for (const [value, text] of values) {
    const input = el("input", { type: "radio", name: id, value, checked: value === chosen, on: { change: () => changed(value) } });
    $(id).append(el("label", {}, input, el("span", {}, text)));
  }
}
