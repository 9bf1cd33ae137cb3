// Numbers in words, and what they mean.

const NONE = "–";
const WINDOWS = [["5m", "5 min"], ["1h", "1 h"], ["24h", "24 h"]];
const WINDOW_WORDS = { "5m": "last 5 minutes", "1h": "last hour", "24h": "last 24 hours" };
const DEGRADED = {
  dc_unreachable: "data center away",
  deadline: "no time to ask",
  overload: "data center busy",
  loss: "too much was lost",
};
const REASONS = { numerics: "engine differs from the certified one", chain: "a model is missing" };

const known = (value) => typeof value === "number" && Number.isFinite(value);

function amount(value) {
  if (!known(value)) return NONE;
  if (value === 0) return "0";
  if (value < 0.1) return "<0.1";
  return value < 10 ? String(Number(value.toFixed(1))) : Math.round(value).toLocaleString("en");
}

function milliseconds(value) {
  if (!known(value)) return NONE;
  if (value === 0) return "0 ms";
  if (value >= 10000) return `${(value / 1000).toFixed(0)} s`;
  if (value >= 1000) return `${(value / 1000).toFixed(1)} s`;
  return `${value < 10 && value !== 1 ? value.toFixed(1) : value.toFixed(0)} ms`;
}

function percent(share) {
  if (!known(share)) return NONE;
  const value = share * 100;
  if (value > 0 && value < 0.1) return "<0.1 %";
  if (value > 99.9 && value < 100) return ">99.9 %";
  return `${value < 10 && value > 0 ? value.toFixed(1) : value.toFixed(0)} %`;
}

/** Lower ends are cut and upper ends raised, so that an interval is never shown too narrow. */
const lower = (share) => (Math.floor(share * 1000 + 1e-9) / 1000).toFixed(3);
const upper = (share) => (Math.ceil(share * 1000 - 1e-9) / 1000).toFixed(3);

function duration(seconds) {
  if (seconds < 90) return `${Math.max(0, Math.round(seconds))} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} days`;
}

const clock = (epoch, withSeconds = true) =>
  new Date(epoch * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hour12: false, ...(withSeconds ? { second: "2-digit" } : {}) });

function targetWords(target) {
  const text = String(target);
  if (text === "other") return "others";
  return text.startsWith("relative:") ? `−${text.slice(9)}` : text.padEnd(4, "0");
}

/** Whether a target is met: by the interval alone, not by the value in it. */
function judge(asked, view) {
  if (!view || !view.requests) return { level: "none", text: "no answers" };
  if (!known(view.value)) return { level: "none", text: "not known" };
  if (!known(asked)) return { level: "none", text: "no fixed target" };
  if (view.source === "prediction") return { level: "none", text: "not checked yet" };
  if (view.low >= asked) return { level: "ok", text: "met" };
  if (view.high < asked) return { level: "bad", text: "below" };
  return { level: "none", text: "not sure yet" };
}

function sourceWords(view) {
  const n = Math.round(view.n).toLocaleString("en");
  if (view.source === "feedback") return `${n} labels`;
  if (view.source === "audits") return `${n} audits`;
  return "as calibrated";
}

const away = (gateway) => gateway.health === "ejected" || gateway.health === "suspect" || gateway.reason !== "";

/** The one sentence: what is wrong that matters most, or that nothing is. */
function verdict(state, windowName) {
  const { now, lineLost, lostFor, why } = state;
  if (lineLost && why) return { level: "warn", title: "Not shown", text: why };
  if (lineLost) return { level: "bad", title: "Not reachable", text: `No word from the agent for ${duration(lostFor)}. What is below is from before.` };
  if (!now) return { level: "wait", title: "Looking", text: "Waiting for the first figures." };
  if (now.draining) return { level: "warn", title: "Stopping", text: "It finishes what it has begun, and takes nothing new." };
  const minute = now.last_minute || {};
  const below = now.tasks.flatMap((task) => task.targets
    .filter((one) => judge(one.asked, one.windows[windowName]).level === "bad")
    .map((one) => `${task.name} at ${targetWords(one.target)}`));
  if (below.length) return { level: "bad", title: "Less right than asked", text: `Below the target in the ${WINDOW_WORDS[windowName]}: ${below.slice(0, 2).join(", ")}${below.length > 2 ? ` and ${below.length - 2} more` : ""}.` };
  const weaker = `${percent(minute.degraded)} of the last minute's answers are weaker than promised`;
  if (now.gateways.length && now.gateways.every(away)) return { level: "warn", title: "Working alone", text: `No data center can be asked: the edge answers all.${minute.degraded > 0 ? ` ${weaker}.` : ""}` };
  if (minute.degraded > 0.05) return { level: "warn", title: "Working, weaker", text: `${weaker}.` };
  if (!now.store.available) return { level: "warn", title: "Working, not counting", text: `The store does not answer; ${now.store.backlog} batches of counts wait for it.` };
  if (!state.everAnswered) return { level: "ok", title: "Ready", text: "No image has come yet. Try one here." };
  if (!minute.rate) return { level: "ok", title: "Working", text: "Idle: no image in the last minute." };
  return { level: "ok", title: "Working", text: now.gateways.length ? "Edge and data center answer." : "The edge answers." };
}
