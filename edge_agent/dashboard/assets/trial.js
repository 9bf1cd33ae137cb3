// The try-it box: an image and a target in, and who answered, in what time.

const PARTS = [["decode", "decode", "accent"], ["infer", "small model", "third"], ["escalate", "data center", "second"], ["rest", "waiting", "soft"]];

class Trial {
  constructor() {
    this.rows = [];
    this.image = null;
    this.asked = 0;
    this.timer = 0;
    $("task").addEventListener("change", () => this.curve());
    $("target").addEventListener("input", () => this.moved());
    $("file").addEventListener("change", () => this.chose($("file").files));
    $("try").addEventListener("submit", (event) => event.preventDefault());
    const drop = $("drop");
    for (const name of ["dragenter", "dragover"]) drop.addEventListener(name, (event) => { event.preventDefault(); drop.dataset.over = ""; });
    for (const name of ["dragleave", "drop"]) drop.addEventListener(name, () => delete drop.dataset.over);
    drop.addEventListener("drop", (event) => { event.preventDefault(); this.chose(event.dataTransfer.files); });
  }

  /** Which tasks there are, and what each can reach. */
  async begin() {
    const reply = await call("/v1/tasks");
    if (!reply.ok) return;
    const { tasks } = await reply.json();
    const before = $("task").value;
    $("task").replaceChildren(...tasks.map((one) => el("option", { value: one.name, selected: one.name === before }, one.name)));
    $("task-field").hidden = tasks.length < 2;
    await this.curve();
  }

  async curve() {
    const task = $("task").value;
    const reply = await call(`/v1/tasks/${encodeURIComponent(task)}/curve`);
    if (!reply.ok) return;
    const found = await reply.json();
    if (task !== $("task").value) return;
    this.highest = found.highest_certifiable;
    this.rows = found.targets;
    const slider = $("target");
    const start = this.rows.findIndex((one) => one.target >= found.default_accuracy - 1e-9);
    slider.max = String(this.rows.length - 1);
    slider.value = String(Math.max(0, start));
    slider.disabled = false;
    this.moved();
  }

  get row() {
    return this.rows[Number($("target").value)];
  }

  moved() {
    const row = this.row;
    if (!row) return;
    const target = targetWords(row.target);
    const reach = `Up to ${lower(this.highest)} can be promised.`;
    const text = row.certified
      ? `About ${percent(row.escalation_rate)} of images go up for it. ${reach}`
      : `Out of reach: ${row.reason}. ${reach}`;
    say("target-value", target);
    say("target-text", text);
    $("target").setAttribute("aria-valuetext", `${target}. ${text}`);
    clearTimeout(this.timer);
    if (this.image) this.timer = setTimeout(() => this.ask(), 120);
  }

  chose(files) {
    const file = files?.[0];
    if (!file) return;
    if (this.url) URL.revokeObjectURL(this.url);
    this.image = file;
    this.url = URL.createObjectURL(file);
    this.ask();
  }

  async ask() {
    const mine = (this.asked += 1);
    const row = this.row;
    const query = new URLSearchParams({ task: $("task").value });
    if (row) query.set("accuracy", String(row.target));
    const begun = performance.now();
    let body = null;
    let seen = 0;
    try {
      const reply = await call(`/v1/classify?${query}`, { method: "POST", body: this.image, headers: { "Content-Type": "application/octet-stream" } });
      body = await reply.json();
      seen = performance.now() - begun;
    } catch {
      body = { error: { message: "The agent did not answer.", hint: "Is it still running?" } };
    }
    if (mine !== this.asked) return;
    $("result").replaceChildren(body.error ? this.refusal(body.error) : this.outcome(body, seen));
  }

  refusal(error) {
    return el("p", { class: "refused" }, el("b", {}, error.message), error.hint ?? "");
  }

  outcome(answer, seen) {
    const promise = answer.accuracy;
    const chips = [];
    if (answer.degraded) chips.push(el("span", { class: "chip", "data-level": "warn" }, DEGRADED[answer.degraded] ?? answer.degraded));
    else chips.push(el("span", { class: "chip", "data-level": promise.certified ? "ok" : "warn" }, promise.certified ? `certified for ${targetWords(promise.target)}` : REASONS[promise.reason] ?? "not certified"));
    const who = answer.served_by === "edge" ? "the edge" : "the data center";
    const bound = promise.threshold > 1 ? "everything goes up at this target" : `the edge needs ${percent(promise.threshold)} to answer alone`;
    const second = (answer.top_k ?? []).slice(1, 3).filter((one) => one.probability >= 0.005).map((one) => `${one.label} ${percent(one.probability)}`);
    return el("div", {},
      el("div", { class: "outcome" },
        el("img", { src: this.url, alt: "The image that was sent" }),
        el("div", {},
          el("h3", {}, answer.label ?? "Answered"),
          el("p", { class: "by" }, el("b", {}, percent(answer.confidence)), " sure, answered by ", el("b", {}, who), answer.rung && answer.rung !== answer.served_by ? ` (${answer.rung})` : ""),
          second.length ? el("p", { class: "note" }, `Else ${second.join(", ")}`) : "",
          el("p", { class: "note" }, `Here ${bound}.`),
          el("p", { class: "chips" }, chips))),
      this.steps(answer.timing_ms, seen));
  }

  steps(timing, seen) {
    const rest = Math.max(0, timing.total - timing.decode - timing.infer - timing.escalate);
    const all = { ...timing, rest };
    const total = Math.max(timing.total, 1e-6);
    let x = 0;
    const bar = svg("svg", { "aria-hidden": "true" });
    const list = el("ul", {});
    for (const [key, name, tone] of PARTS) {
      const share = (100 * all[key]) / total;
      if (all[key] <= 0) continue;
      bar.append(svg("rect", { x: `${x}%`, y: 0, width: `${share}%`, height: 12, class: `c-${tone}` }));
      x += share;
      list.append(el("li", {}, el("i", { class: `swatch c-${tone}` }), name, " ", el("b", {}, milliseconds(all[key]))));
    }
    list.append(el("li", {}, "at the agent ", el("b", {}, milliseconds(timing.total))), el("li", {}, "seen from here ", el("b", {}, milliseconds(seen))));
    return el("div", { class: "steps" }, bar, list);
  }
}
