// The charts: one class over uPlot, and which there are.

const COLOURS = ["accent", "second", "third", "fourth", "fifth", "sixth"];
const LEAST_S = 120;
const DASH = [5, 4];
const MINUTES = [60, 120, 300, 600, 1800, 3600, 7200, 10800, 14400, 21600];
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const FONT = "12px system-ui, sans-serif";

class Chart {
  /** `lines` are {name, key, colour, fill}; `words` puts a value into text. */
  constructor({ title, lines, words, range, empty, steps = false, log = false }) {
    Object.assign(this, { title, lines, words, range, empty, steps, log });
    this.at = el("span", { class: "note" });
    this.legend = el("ul", { class: "legend" });
    const head = el("div", { class: "chart-head" }, el("h3", {}, title, this.at), this.legend);
    this.plot = el("div", { class: "plot", tabindex: "0", role: "img", "aria-label": title });
    this.nothing = el("p", { class: "empty" }, empty);
    this.node = el("div", { class: "chart" }, head, this.plot);
    this.data = [[]];
    this.plot.addEventListener("keydown", (event) => this.key(event));
    this.plot.addEventListener("focus", () => this.describe());
    this.plot.addEventListener("blur", () => this.view?.setCursor({ left: -10, top: -10 }));
    new ResizeObserver(() => this.resize()).observe(this.plot);
  }

  make() {
    this.view?.destroy();
    const axis = { stroke: colour("soft"), font: FONT, ticks: { show: false } };
    const grid = { stroke: colour("line"), width: 1 };
    const stepped = this.steps ? { paths: uPlot.paths.stepped({ align: 1 }) } : {};
    this.view = new uPlot({
      width: this.plot.clientWidth,
      height: this.plot.clientHeight,
      padding: [6, 16, 0, 0],
      legend: { show: false },
      cursor: { y: false, points: { size: 6 }, drag: { x: false, y: false }, sync: { key: "time" } },
      scales: { x: { time: true }, y: { distr: this.log ? 3 : 1, range: (_, low, high) => this.range(low ?? 0, high ?? 1) } },
      axes: [
        { ...axis, grid: { show: false }, space: 56, size: 26, incrs: MINUTES, values: (_, ticks) => ticks.map((t) => clock(t, false)) },
        { ...axis, grid, size: 52, space: 34, ...(this.log ? { splits: powers } : {}), values: (_, ticks) => ticks.map((value) => (value === null ? "" : this.words(value))) },
      ],
      series: [{}, ...this.lines.map((line) => ({
        stroke: colour(line.colour),
        width: 1.75,
        fill: line.fill ? colour("accent-soft") + "99" : undefined,
        dash: line.dashed ? DASH : undefined,
        points: { show: (view, _, from, to) => to - from < 2 },
        ...stepped,
      }))],
      hooks: { setCursor: [() => this.tell()] },
    }, this.data, this.plot);
  }

  resize() {
    const width = this.plot.clientWidth;
    if (this.view && width) this.view.setSize({ width, height: this.plot.clientHeight });
  }

  /** New values, over a time in wall seconds; lines may be others than before. */
  show(data, from, to, lines = this.lines) {
    const others = lines.length !== this.lines.length || lines.some((line, index) => line.name !== this.lines[index].name);
    this.data = data;
    const any = data.slice(1).some((values) => values.some(known));
    if (!any) {
      this.view?.destroy();
      this.view = null;
      this.lines = lines;
      this.plot.replaceChildren(this.nothing);
      this.legend.replaceChildren();
      this.plot.setAttribute("aria-label", `${this.title}: ${this.empty}`);
      return;
    }
    if (!this.view || others) {
      this.lines = lines;
      this.nothing.remove();
      this.make();
    }
    this.view.batch(() => {
      this.view.setData(data, false);
      this.view.setScale("x", { min: from, max: to });
    });
    this.tell();
    if (document.activeElement === this.plot) this.describe();
  }

  /** The legend: values under the cursor, else the newest. */
  tell() {
    if (!this.view) return;
    const at = this.view.cursor.idx;
    const under = known(at) && this.view.cursor.left >= 0;
    const value = (values) => (under ? values[at] : values.findLast(known));
    say(this.at, under ? ` at ${clock(this.data[0][at])}` : "");
    this.legend.replaceChildren(
      ...this.lines.map((line, index) => el("li", {}, el("i", { class: `swatch c-${line.colour}${line.dashed ? " dashed" : ""}` }), line.name, " ", el("b", {}, this.words(value(this.data[index + 1]))))),
    );
  }

  describe() {
    const parts = this.lines.map((line, index) => {
      const values = this.data[index + 1].filter(known);
      if (!values.length) return `${line.name}: nothing`;
      return `${line.name}: now ${this.words(values[values.length - 1])}, between ${this.words(Math.min(...values))} and ${this.words(Math.max(...values))}`;
    });
    this.plot.setAttribute("aria-label", `${this.title}. ${parts.join(". ")}. Arrow keys read single values.`);
  }

  /** Arrow keys move the cursor, a tenth of the width with Shift. */
  key(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!this.view || !step) return;
    event.preventDefault();
    const last = this.data[0].length - 1;
    const at = this.view.cursor.left >= 0 && known(this.view.cursor.idx) ? this.view.cursor.idx : last;
    const next = Math.max(0, Math.min(last, at + step * (event.shiftKey ? Math.ceil(last / 10) : 1)));
    this.view.setCursor({ left: this.view.valToPos(this.data[0][next], "x"), top: 10 });
    const parts = this.lines.map((line, index) => `${line.name} ${this.words(this.data[index + 1][next])}`);
    this.plot.setAttribute("aria-label", `${clock(this.data[0][next])}: ${parts.join(", ")}`);
  }
}

const fromZero = (least) => (_, high) => [0, Math.max(least, high * 1.08)];
/** The powers of ten from `low` to `high`. */
function powers(_view, _axis, low, high) {
  const found = [];
  for (let power = Math.round(Math.log10(low)); power <= Math.round(Math.log10(high)); power += 1) found.push(10 ** power);
  return found;
}

const decades = (low, high) => [10 ** Math.floor(Math.log10(low || 1)), 10 ** Math.ceil(Math.log10((high || 1) * 1.001))];
const shares = (_, high) => [0, Math.min(1, Math.max(0.05, high * 1.15))];

class Charts {
  constructor() {
    this.rate = new Chart({ title: "Answers a second", words: amount, range: fromZero(1), empty: "No answers in this time.", lines: [{ name: "answered", key: "rate", colour: "accent", fill: true }, { name: "refused", key: "refused", colour: "bad" }] });
    this.time = new Chart({ title: "Time to answer", words: milliseconds, range: decades, log: true, empty: "No answers in this time.", lines: [{ name: "P50", key: "p50_ms", colour: "accent" }, { name: "P99", key: "p99_ms", colour: "second" }] });
    this.share = new Chart({ title: "Sent up", words: percent, range: shares, empty: "No answers in this time.", lines: [{ name: "by the data center", key: "escalated", colour: "accent", fill: true }, { name: "weaker than promised", key: "degraded", colour: "bad" }] });
    this.thresholds = new Chart({ title: "Confidence threshold", words: (value) => (known(value) ? (value >= 1 ? "all up" : value.toFixed(value === 0 ? 0 : 2)) : NONE), range: () => [0, 1.02], empty: "None used in this time.", lines: [], steps: true });
    this.loss = new Chart({ title: "Lost on the link", words: percent, range: shares, empty: "", lines: [{ name: "of packets", key: "lost", colour: "third", fill: false }] });
    this.power = new Chart({ title: "Power", words: (value) => (known(value) ? `${value < 10 ? value.toFixed(1) : value.toFixed(0)} W` : NONE), range: fromZero(1), empty: "", lines: [{ name: "this machine", key: "watts", colour: "fourth" }] });
    this.all = [this.rate, this.time, this.share, this.thresholds, this.loss, this.power];
    $("charts").append(...this.all.map((one) => one.node));
    const again = () => this.all.forEach((one) => one.view && one.make());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
  }

  show(columns, thresholds, now, offset, length) {
    const first = Math.max(now - length, Math.min(columns.first, now - LEAST_S));
    const [from, to] = [first + offset, now + offset];
    for (const chart of [this.rate, this.time, this.share, this.loss, this.power]) {
      const names = chart.lines.map((line) => line.key);
      const shown = chart === this.share && columns.step === 1 ? columns.smooth(names) : columns;
      chart.show(shown.rows(names, offset), from, to);
    }
    for (const chart of [this.loss, this.power]) chart.node.hidden = !chart.view;
    const names = thresholds.names;
    const lines = names.map((name, index) => ({ name, colour: COLOURS[index % COLOURS.length], dashed: index >= COLOURS.length }));
    this.thresholds.show(thresholds.rows(first, now, offset), from, to, lines);
  }
}
