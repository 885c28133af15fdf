// The page /player: plays a stream with the player that is chosen, and shows what the CDN did.
// What is chosen stands in the address: /player?stream=live&format=dash&player=dash.js

const FORMATS = {
  "hls.js": ["hls", "ll"], "dash.js": ["dash"], shaka: ["hls", "ll", "dash"], browser: ["hls", "ll"],
};
const PLAYERS = { "hls.js": playHls, "dash.js": playDash, shaka: playShaka, browser: playNative };
const NPM = { "hls.js": "hls.js", "dash.js": "dashjs", shaka: "shaka-player" };
const NAMES = { hls: "master.m3u8", ll: "ll.m3u8", dash: "manifest.mpd" };
const ROWS = 8;

const at = (id) => document.getElementById(id);
const video = document.querySelector("video");

// What happened, for the page and for tests.
const seen = { stalls: 0, errors: [], segments: 0, hits: 0, started: false };
window.seen = seen;
let latency = () => NaN;

const asked = new URLSearchParams(location.search);
const choice = {
  stream: asked.get("stream") === "video" ? "video" : "live",
  format: asked.get("format") in NAMES ? asked.get("format") : "hls",
};
// The clip has no parts.
if (choice.stream === "video" && choice.format === "ll") choice.format = "hls";
const usual = choice.format === "dash" ? "dash.js" : "hls.js";
choice.player = asked.get("player") in PLAYERS ? asked.get("player") : usual;
if (!FORMATS[choice.player].includes(choice.format)) choice.format = FORMATS[choice.player][0];

showChoice();
watchRequests();
watchVideo();
start().catch((error) => failed(error));

async function start() {
  const url = new URL(`/${choice.stream}/${NAMES[choice.format]}`, location.href).href;
  await isThere(url);
  note(url);
  await PLAYERS[choice.player](url);
  // A browser that forbids this has a button for it.
  video.play().catch(() => {});
}

// The clip takes some seconds to be made, the channel to begin.
async function isThere(url) {
  for (let tries = 0; tries < 60; tries += 1) {
    const answer = await fetch(url, { cache: "no-store" });
    if (answer.ok && (await holdsSegments(url, await answer.text()))) return;
    note(`waiting for ${url} (${answer.status})`);
    await new Promise((done) => setTimeout(done, 500));
  }
  throw new Error(`${url} does not come: is ffmpeg installed where the demo runs?`);
}

async function holdsSegments(url, text) {
  const media = text.match(/^(media|ll)_.*$/m);
  if (!media) return text.includes("SegmentTemplate");
  const answer = await fetch(new URL(media[0], url), { cache: "no-store" });
  return answer.ok && (await answer.text()).includes("#EXTINF");
}

// ---- The players, each with CMCD: the CDN reads what they say of themselves.

async function playHls(url) {
  const { Hls } = await library("hls.js", "Hls");
  const hls = new Hls({ cmcd: {}, lowLatencyMode: true });
  hls.on(Hls.Events.ERROR, (_, data) => {
    if (data.details !== Hls.ErrorDetails.BUFFER_STALLED_ERROR) failed(data.details);
  });
  latency = () => hls.latency;
  hls.loadSource(url);
  hls.attachMedia(video);
}

async function playDash(url) {
  const { dashjs } = await library("dash.js", "dashjs");
  const player = dashjs.MediaPlayer().create();
  player.updateSettings({ streaming: { cmcd: { enabled: true } } });
  player.on(dashjs.MediaPlayer.events.ERROR, (event) => failed(event.error?.message ?? event.error));
  latency = () => player.getCurrentLiveLatency();
  player.initialize(video, url, true);
}

async function playShaka(url) {
  const { shaka } = await library("shaka", "shaka");
  shaka.polyfill.installAll();
  const player = new shaka.Player();
  await player.attach(video);
  player.configure({ cmcd: { enabled: true }, manifest: { defaultPresentationDelay: 3 } });
  // By itself Shaka asks ahead for segments of which nothing is there yet: each 404 is an error.
  player.configurationForLowLatency({
    streaming: { segmentPrefetchLimit: 0, updateIntervalSeconds: 0.1 },
  });
  player.addEventListener("error", (event) => failed(event.detail));
  latency = () => (player.isLive() ? (Date.now() - player.getPlayheadTimeAsDate()) / 1000 : NaN);
  await player.load(url);
}

async function playNative(url) {
  if (!video.canPlayType("application/vnd.apple.mpegurl")) {
    throw new Error("this browser plays no HLS by itself");
  }
  video.src = url;
}

// Loads a library that the demo was given.
async function library(name, symbol) {
  const file = name === "shaka" ? "shaka.js" : name;
  await new Promise((done, missing) => {
    const script = document.createElement("script");
    script.src = `/player/${file}`;
    script.onload = done;
    script.onerror = () => missing(new Error(
      `${name} is not here: npm install --prefix DIR ${NPM[name]}, then selvedge demo --players DIR`,
    ));
    document.head.append(script);
  });
  return { [symbol]: window[symbol] };
}

// ---- What is seen of it.

function watchVideo() {
  video.addEventListener("playing", () => { seen.started = true; });
  video.addEventListener("waiting", () => {
    if (seen.started && !video.seeking && !video.ended) seen.stalls += 1;
  });
  video.addEventListener("error", () => failed(video.error?.message));
  setInterval(show, 250);
}

// All players fetch in one of two ways; both are listened to.
function watchRequests() {
  const ask = window.fetch;
  window.fetch = async (...all) => {
    const answer = await ask(...all);
    arrived(answer.url, (name) => answer.headers.get(name));
    return answer;
  };
  const send = XMLHttpRequest.prototype.send;
  XMLHttpRequest.prototype.send = function (...all) {
    this.addEventListener("load", () => {
      arrived(this.responseURL, (name) => this.getResponseHeader(name));
    });
    return send.apply(this, all);
  };
}

function arrived(url, header) {
  const { pathname } = new URL(url);
  if (!/\.(m4s|mp4)$/.test(pathname)) return;
  const status = header("cache-status") ?? "";
  // Each cache adds itself at the end: the last one is the edge.
  const edge = status.split(",").pop().trim();
  const isHit = /;\s*hit/.test(edge);
  const isShared = /collapsed/.test(edge);
  seen.segments += 1;
  seen.hits += isHit ? 1 : 0;
  const row = document.createElement("tr");
  const color = isHit ? "hit" : isShared ? "wait" : "miss";
  const size = header("content-length") ?? "as it grows";
  const cells = [pathname, size, header("age") ?? "–", edge];
  row.append(...cells.map((text) => Object.assign(document.createElement("td"), { textContent: text })));
  const dot = document.createElement("i");
  dot.style.background = `var(--${color})`;
  row.firstChild.prepend(dot);
  at("list").prepend(row);
  while (at("list").children.length > ROWS) at("list").lastChild.remove();
}

function show() {
  const seconds = (value) => (Number.isFinite(value) ? `${value.toFixed(1)} s` : "–");
  const quality = video.getVideoPlaybackQuality();
  at("position").textContent = seconds(video.currentTime);
  at("buffer").textContent = seconds(ahead());
  at("latency").textContent = choice.stream === "live" ? seconds(latency()) : "on demand";
  at("picture").textContent = video.videoWidth ? `${video.videoWidth} × ${video.videoHeight}` : "–";
  at("dropped").textContent = `${quality.droppedVideoFrames} of ${quality.totalVideoFrames}`;
  at("stalls").textContent = seen.stalls;
  at("errors").textContent = seen.errors.length;
  at("segments").textContent = seen.segments;
  at("hits").textContent = seen.hits;
}

function ahead() {
  for (let n = 0; n < video.buffered.length; n += 1) {
    const [from, to] = [video.buffered.start(n), video.buffered.end(n)];
    if (from <= video.currentTime + 0.1 && video.currentTime <= to) return to - video.currentTime;
  }
  return 0;
}

function failed(why) {
  const text = typeof why === "string" ? why : why?.message ?? JSON.stringify(why) ?? "unknown";
  seen.errors.push(text);
  note(text, "bad");
}

function note(text, kind = "") {
  at("note").textContent = text;
  at("note").className = kind;
}

// ---- What is chosen.

function showChoice() {
  for (const [key, value] of Object.entries(choice)) {
    for (const button of at(key).querySelectorAll("button")) {
      button.setAttribute("aria-pressed", String(button.value === value));
      button.addEventListener("click", () => choose(key, button.value));
    }
  }
  at("format").querySelector("[value=ll]").disabled = choice.stream === "video";
  for (const button of at("player").querySelectorAll("button")) {
    button.disabled = !FORMATS[button.value].includes(choice.format);
  }
}

function choose(key, value) {
  const next = { ...choice, [key]: value };
  // A player that cannot play a format gives way to one that can.
  if (!FORMATS[next.player].includes(next.format)) {
    next.player = next.format === "dash" ? "dash.js" : "hls.js";
  }
  location.search = new URLSearchParams(next);
}
