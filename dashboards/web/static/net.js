// Reading the API, with a token when one is needed, and the live stream over fetch (EventSource cannot send a token).
let token = "";
try { token = sessionStorage.getItem("token") || ""; } catch { /* private mode */ }

export class Refused extends Error {}

export function useToken(value) {
  token = value;
  try { sessionStorage.setItem("token", value); } catch { /* private mode */ }
}

const headers = () => (token ? { Authorization: `Bearer ${token}` } : {});

export async function get(path, signal) {
  const answer = await fetch(path, { headers: headers(), signal, cache: "no-store" });
  if (answer.status === 401) throw new Refused();
  const content = await answer.json().catch(() => ({ error: answer.statusText }));
  if (!answer.ok) throw new Error(content.error || answer.statusText);
  return content;
}

// Calls on.event(name, data) for every event; comes back by itself with the last id; on.state says "open" or "lost".
export function follow(path, on) {
  let last = "", wait = 500, heard = 0, control = null, over = false;
  const watch = setInterval(() => { if (control && Date.now() - heard > 25000) control.abort(); }, 5000);

  async function once() {
    control = new AbortController();
    heard = Date.now();
    const extra = last ? { "Last-Event-ID": last } : {};
    const answer = await fetch(path, { headers: { ...headers(), ...extra }, signal: control.signal, cache: "no-store" });
    if (answer.status === 401) throw new Refused();
    if (!answer.ok) throw new Error(String(answer.status));
    wait = 500;
    on.state("open");
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let rest = ""; ;) {
      const { done, value } = await reader.read();
      if (done) return;
      heard = Date.now();
      rest += value;
      const blocks = rest.split("\n\n");
      rest = blocks.pop();
      blocks.forEach(take);
    }
  }

  function take(block) {
    let name = "message", data = "";
    for (const line of block.split("\n")) {
      if (line.startsWith("id: ")) last = line.slice(4);
      else if (line.startsWith("event: ")) name = line.slice(7);
      else if (line.startsWith("data: ")) data += line.slice(6);
    }
    if (data) on.event(name, JSON.parse(data));
  }

  (async () => {
    while (!over) {
      try { await once(); } catch (error) {
        if (error instanceof Refused) { on.state("refused"); break; }
      }
      if (over) break;
      on.state("lost");
      await new Promise((r) => setTimeout(r, wait * (0.75 + Math.random() / 2)));
      wait = Math.min(wait * 1.7, 10000);
    }
    clearInterval(watch);
  })();
  return () => { over = true; if (control) control.abort(); };
}
