// Delivered accuracy of each target as an interval on a scale, with the target marked on it.

const STEERED = { steering: "raised", alarm: "raised, not enough", frozen: "held" };

function scaleOf(targets, windowName) {
  const values = targets.flatMap((one) => {
    const view = one.windows[windowName];
    return [one.asked, view?.low].filter(known);
  });
  const low = Math.min(0.9, ...values);
  return Math.max(0, Math.floor(low * 20 - 0.2) / 20);
}

function intervalOf(target, view, from) {
  const at = (value) => `${(100 * Math.max(0, value - from)) / (1 - from)}%`;
  const picture = svg("svg", { class: "interval", "aria-hidden": "true" }, svg("line", { class: "rail", x1: "0", x2: "100%", y1: 14, y2: 14 }));
  if (view && known(view.value)) {
    picture.append(svg("line", { class: "band", x1: at(view.low), x2: at(view.high), y1: 14, y2: 14 }));
    picture.append(svg("line", { class: "value", x1: at(view.value), x2: at(view.value), y1: 9, y2: 19 }));
  }
  if (known(target.asked)) picture.append(svg("line", { class: "wanted", x1: at(target.asked), x2: at(target.asked), y1: 4, y2: 24 }));
  return picture;
}

function targetRow(target, windowName, from) {
  const view = target.windows[windowName];
  const found = judge(target.asked, view);
  const steered = STEERED[target.state];
  const got = view && known(view.value)
    ? el("span", { class: "got" }, el("b", {}, view.value.toFixed(3)), el("small", {}, `${lower(view.low)}–${upper(view.high)}, ${sourceWords(view)}`))
    : el("span", { class: "got" }, el("small", {}, view?.requests ? "not known" : "no answers"));
  return el("li", {},
    el("span", { class: "asked" }, targetWords(target.target), steered ? el("small", {}, steered) : ""),
    intervalOf(target, view, from),
    got,
    el("span", { class: "verdict-chip chip", "data-level": found.level }, found.text));
}

function showAccuracy(now, windowName) {
  const place = $("accuracy");
  if (!now.tracked) {
    place.replaceChildren(el("p", { class: "empty" }, "Not counted: the agent runs with --store off."));
    return;
  }
  const tasks = now.tasks.filter((task) => task.targets.some((one) => one.windows[windowName]));
  $("accuracy-key").hidden = !tasks.length;
  if (!tasks.length) {
    place.replaceChildren(el("p", { class: "empty" }, `No answers in the ${WINDOW_WORDS[windowName]}. What was delivered appears here for each accuracy target that is asked for.`));
    return;
  }
  place.replaceChildren(...tasks.map((task) => {
    const targets = task.targets.filter((one) => one.windows[windowName]);
    const from = scaleOf(targets, windowName);
    return el("section", { class: "task" },
      el("h3", {}, task.name),
      el("ul", { class: "targets" }, targets.map((one) => targetRow(one, windowName, from))),
      el("div", { class: "scale", "aria-hidden": "true" }, el("div", {}, el("span", {}, from.toFixed(2)), el("span", {}, "1.00"))),
      task.more ? el("p", { class: "note" }, `and ${task.more} more targets`) : "");
  }));
}
