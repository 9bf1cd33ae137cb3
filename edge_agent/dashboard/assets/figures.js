// The first look: one sentence and four figures, of the last minute.

function showVerdict(state, windowName) {
  const found = verdict(state, windowName);
  $("verdict").dataset.level = found.level;
  say("verdict-title", found.title);
  say("verdict-text", found.text);
  document.title = found.level === "ok" ? "HawkVision" : `${found.title} · HawkVision`;
}

function showFigures(now, windowName) {
  const minute = now.last_minute ?? {};
  const refused = minute.refused > 0 ? `${Math.max(1, Math.round(now.last_seconds * minute.refused))} refused` : "none refused";
  figure("rate", amount(minute.rate ?? 0), " /s");
  say("rate-more", refused);
  const [number, unit = ""] = milliseconds(minute.p50_ms).split(" ");
  figure("time", number, unit && ` ${unit}`);
  say("time-more", known(minute.p99_ms) ? `P99 ${milliseconds(minute.p99_ms)}` : "no answers to time");
  const [share, sign = ""] = percent(minute.escalated).split(" ");
  figure("escalated", share, sign && ` ${sign}`);
  say("escalated-more", !known(minute.escalated) ? "no answers" : minute.degraded > 0 ? `${percent(minute.degraded)} weaker than promised` : "to the data center");
  const judged = now.tasks.flatMap((task) => task.targets.map((one) => judge(one.asked, one.windows[windowName]).text));
  const count = (word) => judged.filter((one) => one === word).length;
  const others = ["met", "not sure yet", "not checked yet"];
  const all = ["below", ...others].reduce((sum, word) => sum + count(word), 0);
  if (!all) {
    figure("missed", NONE);
    say("missed-more", now.tracked ? "nothing counted yet" : "not counted (--store off)");
    return;
  }
  figure("missed", String(count("below")), ` of ${all}`);
  say("missed-more", others.filter(count).map((word) => `${count(word)} ${word}`).join(", ") || WINDOW_WORDS[windowName]);
}
