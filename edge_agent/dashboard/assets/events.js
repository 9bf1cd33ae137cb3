// Calls to the agent, with a key where it asks for one, and server-sent events read by fetch():
// EventSource could not send the key.

const KEY = "hawkvision-key";
const SILENT_MS = 5000;
const PAUSES_MS = [500, 1000, 2000, 5000];

function headers() {
  const key = sessionStorage.getItem(KEY);
  return key ? { Authorization: `Bearer ${key}` } : {};
}

let asking = null;

/** Ask for a key; done when there is one. Several who need it share one question. */
function askForKey() {
  asking ??= new Promise((resolve) => {
    const again = sessionStorage.getItem(KEY) !== null;
    say("ask-text", again ? "The agent does not take that key for this. Try another one." : "It stays in this tab, until you close it.");
    $("key").value = "";
    $("ask").showModal();
    $("ask").addEventListener("close", () => {
      const key = $("key").value.trim();
      if (key) sessionStorage.setItem(KEY, key);
      asking = null;
      resolve(key !== "");
    }, { once: true });
  });
  return asking;
}

/** As fetch(); a 401 asks for a key, and tries again with it. */
async function call(path, options = {}) {
  for (;;) {
    const reply = await fetch(path, { ...options, headers: { ...options.headers, ...headers() } });
    if (reply.status !== 401 || !(await askForKey())) return reply;
  }
}

/** The events of a stream of text, by their lines; calls `event(name, data)`. */
async function readEvents(body, event, heard) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let name = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    heard();
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) {
      if (line.startsWith("event: ")) name = line.slice(7);
      else if (line.startsWith("data: ")) event(name, JSON.parse(line.slice(6)));
    }
  }
}

/** What an agent says that answers, but not with what was asked for. */
async function refusal(reply) {
  try {
    const { error } = await reply.json();
    return [error.message, error.hint].filter(Boolean).join(". ");
  } catch {
    return `The agent answers ${reply.status}.`;
  }
}

/** Follow the agent for ever: `event(name, data)`, and `line("live" | "lost", why)` as it comes and
 * goes; `why` is what the agent says itself. */
async function follow(path, event, line) {
  for (let tries = 0; ; tries += 1) {
    const stop = new AbortController();
    let timer = 0;
    let why = "";
    const heard = () => {
      clearTimeout(timer);
      timer = setTimeout(() => stop.abort(), SILENT_MS);
    };
    try {
      const reply = await call(path, { signal: stop.signal });
      if (reply.ok) {
        heard();
        await readEvents(reply.body, (name, data) => {
          tries = 0;
          line("live");
          event(name, data);
        }, heard);
      } else why = await refusal(reply);
    } catch (error) {
      console.info("the agent's events ended:", error);
    }
    clearTimeout(timer);
    line("lost", why);
    await new Promise((resolve) => setTimeout(resolve, PAUSES_MS[Math.min(tries, PAUSES_MS.length - 1)]));
  }
}
