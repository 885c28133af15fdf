// Plays in Chromium what it is told to, through the page /player of the demo, and judges it without
// believing that page: what was played, what stood still, and the SHA-256 of every segment.
//
//   node drive.mjs NODE_MODULES EDGE ORIGIN SECONDS stream:format:player...
//
// Prints one line of JSON for each. All of them play at the same time.

import { createHash } from "node:crypto";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [modules, edge, origin, seconds, ...plays] = process.argv.slice(2);
const driver = pathToFileURL(join(modules, "playwright-core", "index.mjs"));
const { chromium } = await import(driver);

const ARGUMENTS = [
  "--no-sandbox",
  "--disable-dev-shm-usage",
  "--autoplay-policy=no-user-gesture-required",
];
// Beyond what is to be played: a browser that starts on a busy machine takes its time.
const SPARE_MS = 30_000;

// Runs in the page, before anything else does.
function watch() {
  const watched = { played: 0, stalls: 0, segments: [], started: false, ended: false };
  window.watched = watched;

  const take = async (url, arrives) => {
    const { pathname } = new URL(url, location.href);
    if (!/\.(m4s|mp4)$/.test(pathname)) return;
    try {
      const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", await arrives));
      const sha256 = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
      watched.segments.push({ pathname, sha256 });
    } catch (error) {
      // A player that wants another quality ends what it has begun.
      if (error.name !== "AbortError") watched.segments.push({ pathname, sha256: String(error) });
    }
  };

  const ask = window.fetch;
  window.fetch = async (...all) => {
    const answer = await ask(...all);
    if (answer.ok) take(answer.url, answer.clone().arrayBuffer());
    return answer;
  };
  const open = XMLHttpRequest.prototype.open;
  XMLHttpRequest.prototype.open = function (...all) {
    // Before any listener of the player, which may give the bytes away.
    this.addEventListener("readystatechange", () => {
      const isSegment = this.readyState === 4 && this.responseType === "arraybuffer";
      if (isSegment && this.status === 200) take(this.responseURL, this.response.slice(0));
    });
    return open.apply(this, all);
  };

  addEventListener("DOMContentLoaded", () => {
    const video = document.querySelector("video");
    let [time, since] = [0, performance.now()];
    video.addEventListener("playing", () => { watched.started = true; });
    video.addEventListener("waiting", () => {
      if (watched.started && !video.seeking && !video.ended) watched.stalls += 1;
    });
    // What plays, and what stands still without saying so.
    setInterval(() => {
      const now = performance.now();
      const step = video.currentTime - time;
      const rests = video.paused || video.ended || video.seeking || !watched.started;
      if (step !== 0 || rests) since = now;
      // What is further is a leap.
      if (!rests && step > 0 && step < 1) watched.played += step;
      if (now - since > 1000) {
        watched.stalls += 1;
        since = now;
      }
      time = video.currentTime;
      watched.ended = video.ended;
    }, 100);
  });
}

async function play(what) {
  const [stream, format, player] = what.split(":");
  // A context of its own: pages of one share six connections, and live streams hold theirs.
  const context = await browser.newContext();
  const page = await context.newPage();
  const errors = [];
  page.on("pageerror", (error) => errors.push(error.message));
  page.on("response", (answer) => {
    if (answer.status() >= 400) errors.push(`${answer.status()} ${answer.url()}`);
  });
  await page.addInitScript(watch);
  await page.goto(`${edge}/player?${new URLSearchParams({ stream, format, player })}`);
  const done = (enough) => window.watched.played >= enough || window.watched.ended;
  const timeout = seconds * 1000 + SPARE_MS;
  await page.waitForFunction(done, Number(seconds), { timeout }).catch((error) => {
    errors.push(error.message.split("\n")[0]);
  });
  const got = await page.evaluate(() => ({
    played: window.watched.played,
    stalls: window.watched.stalls,
    segments: window.watched.segments,
    errors: window.seen.errors,
    latency: document.getElementById("latency").textContent,
  }));
  await context.close();
  const wrong = await compare(got.segments);
  return { stream, format, player, ...got, errors: [...errors, ...got.errors], wrong };
}

// The segments that are not those of the origin.
async function compare(segments) {
  const wrong = [];
  for (const { pathname, sha256 } of segments) {
    const answer = await fetch(new URL(pathname, origin));
    const bytes = Buffer.from(await answer.arrayBuffer());
    const right = createHash("sha256").update(bytes).digest("hex");
    if (!answer.ok || right !== sha256) wrong.push(`${pathname} ${answer.status} ${sha256}`);
  }
  return wrong;
}

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ARGUMENTS,
});
try {
  const all = await Promise.all(plays.map(play));
  for (const { segments, ...rest } of all) {
    console.log(JSON.stringify({ ...rest, segments: segments.length }));
  }
} finally {
  await browser.close();
}
