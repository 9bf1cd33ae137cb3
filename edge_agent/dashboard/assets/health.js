// What stands behind the answers: gateways, store, streams, power.

const HEALTHY = { healthy: ["ok", "in use"], probing: ["warn", "being tried"], suspect: ["warn", "not sure"], draining: ["warn", "stopping"], ejected: ["bad", "left out"] };

const entry = (name, ...values) => el("div", {}, el("dt", {}, name), values.flat().map((value) => el("dd", {}, value)));
const row = (text, level, word) => el("span", { class: "row" }, el("span", {}, text), el("span", { class: "chip", "data-level": level }, word));

function gatewayRow(gateway) {
  const [level, word] = HEALTHY[gateway.health] ?? ["none", gateway.health];
  return [row(gateway.gateway, level, word), gateway.reason ? el("small", {}, gateway.reason) : ""];
}

function storeRow(now) {
  if (now.store.kind === "off") return ["Off: no accuracy is counted"];
  const name = now.store.kind === "memory" ? "In memory" : "Redis";
  if (now.store.available) return [row(name, "ok", "answers"), now.store.journal !== "ok" ? el("small", {}, now.store.journal) : ""];
  return [row(name, "bad", "away"), el("small", {}, `${now.store.reason || "it does not answer"}; ${now.store.backlog} batches wait, ${now.store.dropped} lost`)];
}

function powerRow(now) {
  if (!now.power.measured) return ["Not measured", el("small", {}, now.power.reason ?? "")];
  const rails = now.power.rails.filter((one) => one.counted && known(one.watts));
  const watts = rails.reduce((sum, one) => sum + one.watts, 0);
  return [rails.length ? `${watts.toFixed(1)} W` : "Measured from the next second on", el("small", {}, rails.map((one) => `${one.source} ${one.rail}`).join(", "))];
}

function showHealth(now) {
  const lost = now.last_minute?.lost;
  const streams = now.streams ? `${now.streams} open` : "None open";
  const hot = Object.entries(now.power.celsius).sort((a, b) => b[1] - a[1])[0];
  const parts = [
    entry("Data center", now.gateways.length ? now.gateways.flatMap(gatewayRow).filter(Boolean) : "No gateway is named", now.held_back ? [el("small", {}, "Escalations are held back for now.")] : []),
    entry("Store of counts", storeRow(now).filter(Boolean)),
    entry("Lossy streams", known(lost) ? `${streams}, ${percent(lost)} of packets lost` : streams),
    entry("Power", powerRow(now).filter(Boolean)),
  ];
  if (hot) parts.push(entry("Temperature", `${hot[1].toFixed(0)} °C`, el("small", {}, hot[0])));
  const agents = now.agents ?? 0;
  const processes = now.workers > 1 ? `${now.workers} workers` : "One process";
  parts.push(entry("Serving", `${processes}${agents > now.workers ? `, ${agents} in the fleet` : ""}, for ${duration(now.uptime_s)}`));
  $("health").replaceChildren(...parts);
  say("foot", `HawkVision ${now.version}`);
}
