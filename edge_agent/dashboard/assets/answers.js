// The newest answers, newest first.

const SHOWN = 12;

class Answers {
  constructor() {
    this.known = new Map();
    this.paused = false;
    $("pause").addEventListener("click", () => {
      this.paused = !this.paused;
      $("pause").setAttribute("aria-pressed", String(this.paused));
      if (!this.paused) this.draw();
    });
  }

  clear() {
    this.known.clear();
    this.drawn = null;
  }

  take(answers, offset) {
    for (const one of answers) this.known.set(one.number, { ...one, at: one.t + offset });
    const numbers = [...this.known.keys()].sort((a, b) => b - a);
    for (const number of numbers.slice(40)) this.known.delete(number);
    if (!this.paused) this.draw();
  }

  draw() {
    const newest = [...this.known.values()].sort((a, b) => b.number - a.number).slice(0, SHOWN);
    if (!newest.length || newest[0].number === this.drawn) return;
    this.drawn = newest[0].number;
    const head = [["when", "Time"], ["what", "Answer"], ["by", "Answered by"], ["for", "Target"], ["noted", ""], ["ms", "Took"]];
    const pictures = newest.some((one) => one.picture);
    const several = new Set(newest.map((one) => one.task)).size > 1;
    $("answers").replaceChildren(el("table", { class: "answers", role: "table", "aria-labelledby": "answers-title" },
      el("thead", {}, el("tr", { role: "row" }, head.map(([name, text]) => el("th", { class: name, scope: "col", role: "columnheader" }, text || el("span", { class: "unseen" }, "Notes"))))),
      el("tbody", { role: "rowgroup" }, newest.map((one) => this.row(one, several, pictures)))));
  }

  row(one, several, pictures) {
    const chips = [];
    if (one.degraded) chips.push(el("span", { class: "chip", "data-level": "warn" }, DEGRADED[one.degraded] ?? one.degraded));
    else if (!one.certified) chips.push(el("span", { class: "chip", "data-level": "warn" }, REASONS[one.reason] ?? "not certified"));
    if (one.lost > 0) chips.push(el("span", { class: "chip" }, `${percent(one.lost)} lost`));
    const cell = (name, ...children) => el("td", { class: name, role: "cell" }, ...children);
    return el("tr", { role: "row" },
      cell("when", clock(one.at)),
      cell("what", one.picture ? el("img", { src: one.picture, alt: "" }) : pictures ? el("span", { class: "none" }) : "", el("b", {}, one.label ?? "answered"), el("small", {}, percent(one.confidence))),
      cell("by", one.served_by === "edge" ? "edge" : "data center", el("small", {}, [one.rung === one.served_by ? "" : one.rung, one.app && `for ${one.app}`].filter(Boolean).join(" · "))),
      cell("for", targetWords(one.target), several ? el("small", {}, one.task) : ""),
      cell("noted", el("span", { class: "chips" }, chips)),
      cell("ms", milliseconds(one.ms)));
  }
}
