// What the pages share.
'use strict';

const element = id => document.getElementById(id);

/* Of every request: JSON, and the key that the page's field holds. */
function headers() {
  const result = { 'Content-Type': 'application/json' };
  const key = element('key').value.trim();
  if (key) result.Authorization = 'Bearer ' + key;
  return result;
}

const bytes = count => {
  const units = ['B', 'KiB', 'MiB', 'GiB'];
  let unit = 0;
  while (count >= 1024 && unit < units.length - 1) { count /= 1024; unit += 1; }
  return count.toFixed(unit && count < 100 ? 1 : 0) + ' ' + units[unit];
};

// A browser's words for a server that is away ("Failed to fetch") help nobody.
const words = error => error.name === 'TypeError' ? 'The server does not answer. Is it still running?' : error.message;

/* Asks for an answer as a stream and hands each of its chunks to `take`. */
async function stream(body, signal, take) {
  const response = await fetch('/v1/chat/completions', {
    method: 'POST', headers: headers(), signal,
    body: JSON.stringify({ ...body, stream: true, stream_options: { include_usage: true }, weir: { explain: true } }),
  });
  if (!response.ok) throw new Error((await response.json()).error?.message ?? response.statusText);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let pending = '';
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    pending += value;
    const lines = pending.split('\n');
    pending = lines.pop();
    for (const line of lines) {
      if (!line.startsWith('data: ') || line === 'data: [DONE]') continue;
      const chunk = JSON.parse(line.slice(6));
      if (chunk.error) throw new Error(chunk.error.message);
      take(chunk);
    }
  }
}
