"use strict";
// Shows the state as text: nothing that came from elsewhere is ever taken for markup.

const STALE_S = 10, SVG = "http://www.w3.org/2000/svg";
const $ = (id) => document.getElementById(id), rows = new Map();
let state = null;      // the newest state
let skew = 0;          // seconds that the server's clock is ahead of this one
let linked = false;    // whether changes reach this page
let cursor = null;     // time of the window that is read out
let scale = null;      // from seconds to pixels, of the chart that is drawn
// ---- numbers and words; what is absent is a dash, never a zero
const known = (n) => typeof n === "number" && Number.isFinite(n);
const ms = (n) => !known(n) ? "–" : n >= 10000 ? `${(n / 1000).toFixed(1)} s`
  : `${n >= 100 ? n.toFixed(0) : n.toFixed(1)} ms`;
const percent = (n) => !known(n) ? "–" : `${(n * 100).toFixed(n === 1 ? 0 : 1)} %`;
const count = (n) => known(n) ? String(n) : "–";
const many = (n, word) => `${n} ${word}${n === 1 ? "" : "s"}`;
const h23 = { hourCycle: "h23" };
const clock = (ts) => known(ts) ? new Date(ts * 1000).toLocaleTimeString([], h23) : "";
const ago = (s) => s < 90 ? `${Math.round(s)} s` : s < 5400 ? `${Math.round(s / 60)} min`
  : `${Math.round(s / 3600)} h`;

function put(id, text) {
  const node = typeof id === "string" ? $(id) : id;
  if (node.textContent !== text) node.textContent = text;
}

function make(tag, name, text) {
  const node = document.createElement(tag);
  if (name) node.className = name;
  if (text !== undefined) node.textContent = text;
  return node;
}

// ---- how fresh it is
function freshness() {
  const heard = state ? state.heard_ts : undefined;
  const old = known(heard) ? Math.max(0, Date.now() / 1000 + skew - heard) : null;
  let [kind, text, notice] = ["live", `live, ${ago(old ?? 0)} ago`, ""];
  if (!linked) {
    [kind, text] = ["lost", "connection lost"];
    notice = "The dashboard does not answer. Trying again; what is shown is the last it said.";
  } else if (state && !state.bus.connected) {
    [kind, text] = ["lost", "Redis lost"];
    notice = "The dashboard has lost Redis. Trying again; what is shown is the last it heard.";
  } else if (old === null) {
    [kind, text] = ["waiting", "waiting for a window"];
    notice = "Nothing was measured yet. Is a monitor running on the same Redis and service?";
  } else if (old > STALE_S) {
    [kind, text] = ["stale", `stale, ${ago(old)} ago`];
    notice = `No window for more than ${STALE_S} s. Is the monitor still running?`;
  }
  $("status").dataset.state = kind;
  put("status", text);
  put("notice", notice);
  $("notice").hidden = notice === "";
  $("notice").className = kind === "lost" ? "notice lost" : "notice";
  document.body.classList.toggle("is-old", kind === "stale" || kind === "lost");
}

// ---- figures
function figures() {
  const last = state.latest || {}, base = state.baseline_ms, members = state.members;
  put("service", state.service);
  document.title = `${state.service} · planner`;
  put("endpoint", last.endpoint || "");
  put("p95", ms(last.p95_ms));
  put("p95-sub", last.p95_includes_failures ? "includes failed requests"
    : known(last.p95_low_ms) && known(last.p95_high_ms)
      ? `${ms(last.p95_low_ms)} to ${ms(last.p95_high_ms)}`
      : known(last.p95_ms) && base > 0 ? `${(last.p95_ms / base).toFixed(1)} × baseline` : "");
  put("baseline", ms(base));
  put("sigma", ms(state.sigma_ms));
  put("baseline-sub", known(base) ? "what is normal" : "not known yet");
  put("sigma-sub", known(state.sigma_ms) ? "how much that varies" : "not known yet");
  put("average", ms(last.avg_ms));
  put("average-sub", known(last.p50_ms) ? `median ${ms(last.p50_ms)}` : "");
  put("success", percent(last.success_rate));
  put("success-sub", !known(last.requests) ? "" : many(last.requests, "request")
    + (known(last.rps) ? `, ${last.rps.toFixed(1)}/s` : ""));
  put("replicas", count(members ? members.ready : last.replicas));
  put("replicas-sub", ["starting", "draining"].map((word) => [(members || last)[word], word])
    .filter(([n]) => n > 0).map((pair) => pair.join(" ")).join(", "));
  const refused = state.refused || {};
  put("foot", `Read from Redis (${state.bus.mode}). ` + (refused.count > 0
    ? `${many(refused.count, "message")} not understood; the last: ${refused.last}` : ""));
}

function members() {
  const all = state.members ? state.members.replicas : [];
  const routed = new Set(state.routing ? state.routing.addrs : []);
  $("members-section").hidden = all.length === 0;
  $("members").replaceChildren(...all.map((member) => {
    const item = make("li");
    item.append(make("span", `badge ${member.state}`, member.state), make("span", "", member.slot));
    const serves = routed.has(member.addr) ? " · in service" : " · no traffic";
    const at = (member.addr || "no address yet") + (state.routing ? serves : "");
    item.append(make("small", "", at));
    return item;
  }));
}

// ---- chart
function draw(tag, name, attributes, text) {
  const node = document.createElementNS(SVG, tag);
  node.setAttribute("class", name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== undefined) node.textContent = text;
  $("chart").append(node);
}

// Runs of neighbours in which all is known: a gap in time or in what is known is a gap.
function runs(windows, value) {
  const all = [];
  let before = null;
  for (const window of windows) {
    const is = known(value(window));
    const far = before === null || window.ts - before > Math.max(2.5 * window.window_sec, 2);
    if (is && far) all.push([]);
    if (is) all[all.length - 1].push(window);
    before = is ? window.ts : null;
  }
  return all;
}

function step(most, parts) {
  const rough = Math.max(most, 1e-9) / parts, ten = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 5, 10].map((n) => n * ten).find((n) => n >= rough) || 10 * ten;
}

function chart() {
  const svg = $("chart"), windows = state.windows;
  const wide = Math.max(280, svg.clientWidth), high = 300, left = 54, right = wide - 8;
  svg.setAttribute("viewBox", `0 0 ${wide} ${high}`);
  svg.replaceChildren();
  if (windows.length === 0) return draw("text", "", { x: left, y: high / 2 }, "no window yet");
  const [from, to] = [windows[0].ts, windows[windows.length - 1].ts];
  const span = Math.max(to - from, 30), x = (ts) => right - (right - left) * (to - ts) / span;
  scale = x;
  const top = (w) => Math.max(known(w.p95_ms) ? w.p95_ms : 0,
    known(w.baseline_ms) ? w.baseline_ms + (w.sigma_ms || 0) : 0);
  const each = step(Math.max(...windows.map(top), 1) * 1.05, 4);
  const most = each * Math.max(1, Math.ceil(Math.max(...windows.map(top), 1) * 1.05 / each));
  const y = (n) => 198 - 186 * Math.min(n, most) / most;
  for (let n = 0; n <= most + each / 2; n += each) {
    draw("line", "grid", { x1: left, x2: right, y1: y(n), y2: y(n) });
    const label = n === 0 ? "0" : each < 1 ? `${n.toFixed(1)} ms` : ms(n).replace(".0 ", " ");
    draw("text", "", { x: left - 7, y: y(n) + 4, "text-anchor": "end" }, label);
  }
  const line = (run, value) => run.map((w, i) =>
    `${i ? "L" : "M"}${x(w.ts).toFixed(1)} ${value(w).toFixed(1)}`).join("");
  const low = (w) => y(Math.max(0, w.baseline_ms - w.sigma_ms));
  for (const run of runs(windows, (w) => w.baseline_ms + w.sigma_ms)) {
    const back = line([...run].reverse(), low).replace("M", "L");
    draw("path", "band", { d: line(run, (w) => y(w.baseline_ms + w.sigma_ms)) + back + "Z" });
  }
  for (const run of runs(windows, (w) => w.baseline_ms)) {
    draw("path", "baseline", { d: line(run, (w) => y(w.baseline_ms)) });
  }
  for (const run of runs(windows, (w) => w.p95_ms)) {
    draw("path", "p95", { d: line(run, (w) => y(w.p95_ms)) });
    if (run.length < 2) draw("circle", "dot", { cx: x(run[0].ts), cy: y(run[0].p95_ms), r: 2.5 });
  }
  replicas(windows, x, left, right);
  const done = (row) => !row.result || row.result.status === "ok";
  for (const row of state.actions.filter((row) => done(row) && row.ts >= to - span)) {
    const at = Math.min(x(row.ts), right);
    const up = { d: `M${at - 5} 211h10l-5 -9z` }, down = { d: `M${at - 5} 202h10l-5 9z` };
    if (row.action === "scale_up") draw("path", "out", up);
    if (row.action === "scale_down") draw("path", "in", down);
  }
  draw("text", "", { x: left, y: high - 4 }, clock(to - span));
  draw("text", "", { x: right, y: high - 4, "text-anchor": "end" }, clock(to));
  readout();
}

function replicas(windows, x, left, right) {
  const most = Math.max(1, ...windows.map((w) => w.replicas || 0));
  const y = (n) => 278 - 52 * n / most;
  for (const n of [0, most]) {
    draw("line", "grid", { x1: left, x2: right, y1: y(n), y2: y(n) });
    draw("text", "", { x: left - 7, y: y(n) + 4, "text-anchor": "end" }, String(n));
  }
  for (const run of runs(windows, (w) => w.replicas)) {
    const first = x(run[0].ts).toFixed(1), last = x(run.at(-1).ts).toFixed(1);
    const path = run.map((w, i) => i
      ? `H${x(w.ts).toFixed(1)}V${y(w.replicas)}` : `M${first} ${y(w.replicas)}`).join("");
    draw("path", "area", { d: `${path}V${y(0)}H${first}Z` });
    draw("path", "ready", { d: `${path}H${last}` });
  }
}

function readout() {
  const window = state.windows.find((w) => w.ts === cursor);
  if (!window) return;
  $("chart").querySelectorAll(".cursor").forEach((node) => node.remove());
  draw("line", "cursor", { x1: scale(window.ts), x2: scale(window.ts), y1: 8, y2: 280 });
  put("readout", `${clock(window.ts)}: p95 ${ms(window.p95_ms)}, baseline `
    + `${ms(window.baseline_ms)}, sigma ${ms(window.sigma_ms)}, `
    + `success ${percent(window.success_rate)}, replicas ${count(window.replicas)}`);
}

// ---- actions
const WORDS = { scale_up: "scale out", scale_down: "scale in", noop: "hold" };

function fill(line, row) {
  const [time, action, reason, result] = line.cells, answer = row.result;
  put(time, clock(row.ts));
  time.title = new Date(row.ts * 1000).toLocaleString();
  action.replaceChildren(make("span", `change ${row.action}`, WORDS[row.action] || row.action));
  const to = known(row.replicas) ? ` to ${row.replicas}` : "";
  const about = [`${row.target || ""}${to}`, row.origin].filter(Boolean);
  action.append(make("small", "", about.join(" · ")));
  const open = reason.querySelector("details[open]") !== null;
  reason.replaceChildren(make("span", "", row.reason || "–"));
  if (row.derivation) {
    const details = make("details");
    details.open = open;
    details.append(make("summary", "", "why"), make("pre", "", row.derivation.join("\n")));
    reason.append(details);
  }
  put(result, "");
  if (!answer) return put(result, row.hold ? "nothing to do" : "no result yet");
  result.append(make("span", `badge ${answer.status}`, answer.status));
  if (answer.message) result.append(make("span", "", answer.message));
  const facts = [known(answer.observed) && `${answer.observed} ready`,
    known(answer.took_ms) && `after ${ms(answer.took_ms)}`, answer.cause,
    answer.simulated && "simulated"].filter(Boolean);
  if (facts.length) result.append(make("small", "", [...new Set(facts)].join(" · ")));
}

function actions() {
  const shown = state.actions.filter((row) => $("holds").checked || !row.hold);
  const holds = state.actions.length - shown.length;
  put("empty", holds ? `Nothing was changed. ${many(holds, "decision")} to hold.`
    : "No action yet.");
  $("empty").hidden = shown.length > 0;
  $("table").hidden = shown.length === 0;
  const wanted = shown.map((row) => {
    const text = JSON.stringify(row), old = rows.get(row.n) || { line: make("tr") };
    if (old.text === text) return old.line;
    while (old.line.cells.length < 4) old.line.append(make("td"));
    fill(old.line, row);
    rows.set(row.n, { line: old.line, text });
    return old.line;
  });
  const numbers = new Set(state.actions.map((row) => row.n));
  for (const n of rows.keys()) if (!numbers.has(n)) rows.delete(n);
  const body = $("rows");
  // What stays is not moved, so that focus and what is selected stay too.
  for (const line of [...body.children]) if (!wanted.includes(line)) line.remove();
  wanted.forEach((line, n) => {
    if (body.children[n] !== line) body.insertBefore(line, body.children[n] || null);
  });
}

// ---- following
function show(text) {
  state = JSON.parse(text);
  skew = state.now_ts - Date.now() / 1000;
  linked = true;
  for (const part of [figures, members, chart, actions, freshness]) part();
}

function follow(pause) {
  const source = new EventSource("/api/events");
  source.onmessage = (event) => { pause = 1000; show(event.data); };
  source.onerror = () => {
    linked = false;
    freshness();
    if (source.readyState !== EventSource.CLOSED) return;
    // The browser gave up, as it does when too many pages are open: look once, and try again.
    fetch("/api/state").then((answer) => answer.ok && answer.text().then(show)).catch(() => {});
    setTimeout(follow, pause, Math.min(2 * pause, 8000));
  };
}

function point(window) {
  cursor = window.ts;
  readout();
}

$("chart").addEventListener("pointermove", (event) => {
  if (!scale) return;
  const at = event.clientX - $("chart").getBoundingClientRect().left;
  const off = (w) => Math.abs(scale(w.ts) - at);
  point(state.windows.reduce((a, b) => off(b) < off(a) ? b : a));
});
$("chart").addEventListener("keydown", (event) => {
  const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (!by || !scale) return;
  event.preventDefault();
  const all = state.windows, at = all.findIndex((w) => w.ts === cursor);
  point(all[Math.min(all.length - 1, Math.max(0, at < 0 ? all.length - 1 : at + by))]);
});
$("holds").addEventListener("change", () => { if (state) actions(); });
new ResizeObserver(() => { if (state) chart(); }).observe($("chart"));
setInterval(freshness, 1000);
follow(1000);
