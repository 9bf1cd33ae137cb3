// Puts the parts together.

const SPANS = { "10m": 600, "24h": 86400 };
const state = { now: null, lineLost: false, lostFor: 0, lostAt: 0, everAnswered: false, window: "1h", span: "10m", offset: null };
const seconds = new Columns(1, 600);
const minutes = new Columns(60, 1440);
const thresholds = new Thresholds();
const charts = new Charts();
const answers = new Answers();
const trial = new Trial();

function draw() {
  showVerdict(state, state.window);
  if (!state.now) return;
  showFigures(state.now, state.window);
  showHealth(state.now);
}

function drawAccuracy() {
  if (state.now) showAccuracy(state.now, state.window);
}

function drawCharts() {
  if (!state.now || document.hidden) return;
  charts.show(state.span === "10m" ? seconds : minutes, thresholds, state.now.now, state.offset, SPANS[state.span]);
}

let tasksBefore = "";

/** The accuracy's rows are made anew only where they changed: who reads them is not thrown out. */
function fresh() {
  const tasks = JSON.stringify(state.now.tasks);
  if (tasks === tasksBefore) return false;
  tasksBefore = tasks;
  return true;
}

function heard(name, data) {
  if (name === "whole") {
    for (const one of [seconds, minutes, thresholds, answers]) one.clear();
    tasksBefore = "";
    const served = data.tasks?.map((one) => `${one.name} ${one.version}`).join();
    if (served !== state.served) trial.begin();
    state.served = served;
  }
  if (!data.seconds) return;
  const offset = Date.now() / 1000 - data.now;
  if (state.offset === null || Math.abs(offset - state.offset) > 2) state.offset = offset;
  state.now = data;
  seconds.take(data.seconds);
  minutes.take(data.minutes);
  thresholds.take(data.thresholds);
  answers.take(data.answers, state.offset);
  state.everAnswered ||= data.answers.length > 0 || data.minutes.rate.some((one) => one > 0);
  draw();
  if (fresh()) drawAccuracy();
  drawCharts();
}

function line(what, why = "") {
  if (what === "lost" && !state.lineLost) state.lostAt = Date.now();
  state.lineLost = what === "lost";
  state.why = why;
  $("line").dataset.state = what;
  say("line", what === "live" ? "Live" : "Connecting again");
  if (what === "lost") draw();
}

setInterval(() => {
  if (!state.lineLost) return;
  state.lostFor = (Date.now() - state.lostAt) / 1000;
  draw();
}, 10000);

choice("window", WINDOWS, state.window, (value) => { state.window = value; draw(); drawAccuracy(); });
choice("span", [["10m", "10 min"], ["24h", "24 h"]], state.span, (value) => { state.span = value; drawCharts(); });
say("host", location.host);
document.addEventListener("visibilitychange", drawCharts);
for (const name of ["dragover", "drop"]) addEventListener(name, (event) => event.preventDefault());
follow("/v1/dashboard/events", heard, line);
