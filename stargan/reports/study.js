"use strict";
(() => {
  const study = JSON.parse(document.getElementById("study").textContent);
  const server = document.querySelector('meta[name="votes"]').content;
  const slot = "preference-study-" + study.study;
  const $ = (id) => document.getElementById(id);
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  // A double tap must not answer the question that comes next.
  const SETTLE = 300;
  let state, asked, shown = 0, waiting = false, busy = false, trouble = "";

  // ---- the voter: a random number, and what they have said ----
  function fresh() {
    // randomUUID is missing where a page comes over plain http.
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    const voter = Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");
    return { voter, begun: false, place: 0, answers: {}, changed: 0, kept: 0 };
  }

  function load() {
    try {
      const old = JSON.parse(localStorage.getItem(slot));
      if (old && /^[0-9a-f]{32}$/.test(old.voter) && typeof old.answers === "object") return old;
    } catch { /* nothing is kept here, or it is damaged: begin anew */ }
    return fresh();
  }

  function save() {
    try {
      localStorage.setItem(slot, JSON.stringify(state));
    } catch {
      $("memory").hidden = false;
    }
  }

  // ---- the order: the same for a voter whenever the page is opened ----
  function generator(voter) {
    // sfc32 (Doty-Humphrey, PractRand).
    let [a, b, c, d] = [0, 8, 16, 24].map((i) => parseInt(voter.slice(i, i + 8), 16) | 0);
    const next = () => {
      const t = (((a + b) | 0) + d) | 0;
      d = (d + 1) | 0;
      a = b ^ (b >>> 9);
      b = (c + (c << 3)) | 0;
      c = (c << 21) | (c >>> 11);
      c = (c + t) | 0;
      return (t >>> 0) / 4294967296;
    };
    for (let i = 0; i < 12; i++) next();
    return next;
  }

  function plan(voter) {
    const random = generator(voter);
    const shuffled = (list) => {
      const out = list.slice();
      for (let i = out.length - 1; i > 0; i--) {
        const j = Math.floor(random() * (i + 1));
        [out[i], out[j]] = [out[j], out[i]];
      }
      return out;
    };
    // Evenly over the columns of the table: one of each in turn.
    const columns = new Map();
    for (const one of study.questions) {
      if (!columns.has(one.group)) columns.set(one.group, []);
      columns.get(one.group).push(one);
    }
    const queues = shuffled([...columns.values()].map(shuffled));
    const chosen = [];
    while (chosen.length < study.each) {
      for (const queue of queues) {
        if (queue.length && chosen.length < study.each) chosen.push(queue.pop());
      }
    }
    const order = shuffled(chosen);
    const checks = shuffled(study.checks);
    const gap = order.length / checks.length;
    checks.forEach((one, i) => order.splice(Math.floor((i + 0.5) * gap) + i, 0, one));
    return order.map((one) => ({ ...one, answers: shuffled(one.answers) }));
  }

  // ---- what is on the screen ----
  function view(name) {
    for (const one of ["intro", "ask", "end"]) $(one).hidden = one !== name;
    scrollTo(0, 0);
  }

  function intro() {
    const minutes = Math.max(1, Math.round((asked.length * 7) / 60));
    $("length").textContent =
      `${asked.length} questions, about ${minutes} minute${minutes > 1 ? "s" : ""}.`;
    $("privacy").textContent = "Nobody asks for your name: a random number stands for you. " + (server
      ? "Your answers go to the computer that shows this page, and nowhere else."
      : "Your answers stay in this browser until you save them as a file.");
    view("intro");
  }

  function show(place) {
    if (place >= asked.length) return end();
    state.place = place;
    save();
    const one = asked[place];
    const check = one.words === "";
    $("words").textContent = check ? "Which of these is the very same photo?" : one.words;
    $("hint").textContent = check
      ? "Not a changed one: exactly this photo."
      : "The best: real, as wished, else unchanged.";
    $("photo").src = one.photo;
    $("photo").parentElement.parentElement.style.setProperty("--shape", study.shape);
    $("bar").max = asked.length;
    $("bar").value = place;
    $("count").textContent = `${place + 1} of ${asked.length}`;
    $("most").textContent = one.answers.length;
    $("back").disabled = place === 0;
    const mine = state.answers[one.name];
    $("next").disabled = !mine;
    const many = one.answers.length;
    $("answers").className = many > 4 ? "many" : many === 3 ? "three" : "";
    $("answers").replaceChildren(...one.answers.map((answer, i) => {
      const button = document.createElement("button");
      const img = document.createElement("img");
      const number = document.createElement("span");
      button.type = "button";
      button.className = "answer";
      button.setAttribute("aria-pressed", String(Boolean(mine && mine.name === answer.name)));
      img.src = answer.picture;
      img.alt = `Result ${i + 1}`;
      number.textContent = i + 1;
      number.setAttribute("aria-hidden", "true");
      button.append(img, number);
      button.addEventListener("click", () => choose(i));
      return button;
    }));
    view("ask");
    $("words").focus({ preventScroll: true });
    shown = performance.now();
  }

  function choose(i) {
    if (waiting || performance.now() - shown < SETTLE) return;
    const one = asked[state.place];
    const before = state.answers[one.name];
    const at = Math.max(Date.now(), state.changed + 1);
    if (!before || before.name !== one.answers[i].name) {
      state.answers[one.name] = { name: one.answers[i].name, at };
      state.changed = at;
    }
    save();
    [...$("answers").children].forEach((button, j) =>
      button.setAttribute("aria-pressed", String(j === i)));
    send();
    waiting = true;
    setTimeout(() => { waiting = false; show(state.place + 1); }, calm ? 60 : 240);
  }

  function end() {
    state.place = asked.length;
    save();
    view("end");
    $("thanks").focus({ preventScroll: true });
    send();
    tell();
  }

  function tell() {
    const kept = state.kept >= state.changed;
    $("done").textContent = "That was the last question.";
    $("sure").hidden = true;
    $("again").hidden = !server || kept;
    $("save").hidden = Boolean(server) && kept;
    $("share").hidden = $("save").hidden || !shareable();
    $("status").textContent = !server
      ? (kept && state.changed
        ? "Your answers are saved as a file. Send it to whoever gave you this page."
        : "Save your answers and send the file to whoever gave you this page.")
      : kept ? "Your answers have arrived. You can close this page."
        : busy ? "Sending your answers …"
          : `Your answers could not be sent${trouble && ` (${trouble})`}. They are kept in this `
            + "browser: try again, or save them as a file.";
  }

  // ---- where the answers go ----
  function ballot() {
    return JSON.stringify({ study: study.study, voter: state.voter, answers: state.answers });
  }

  async function send() {
    if (!server || busy) return;
    busy = true;
    const whose = state;
    try {
      while (whose === state && state.kept < state.changed) {
        const now = state.changed;
        const answer = await fetch(server, {
          method: "POST", headers: { "content-type": "application/json" }, body: ballot(),
        });
        trouble = answer.ok ? "" : await answer.text();
        if (!answer.ok) break;
        whose.kept = Math.max(whose.kept, now);
        if (whose === state) save();
      }
    } catch {
      trouble = "";
    } finally {
      busy = false;
      if (!$("end").hidden) tell();
    }
  }

  function file() {
    const name = `votes-${study.study.slice(0, 6)}-${state.voter.slice(0, 8)}.json`;
    return new File([ballot()], name, { type: "application/json" });
  }

  function shareable() {
    return Boolean(navigator.canShare && navigator.canShare({ files: [file()] }));
  }

  function handed() {
    state.kept = state.changed;
    save();
    tell();
  }

  function download() {
    const link = document.createElement("a");
    const one = file();
    link.href = URL.createObjectURL(one);
    link.download = one.name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
    if (!server) handed();
  }

  function begin(next) {
    state = next;
    asked = plan(state.voter);
    // Answers to questions that this study does not have are nobody's.
    const known = new Map(asked.map((one) => [one.name, one.answers.map((a) => a.name)]));
    for (const [name, answer] of Object.entries(state.answers)) {
      if (!known.has(name) || !known.get(name).includes(answer.name)) delete state.answers[name];
    }
    save();
    if (!state.begun) return intro();
    send();
    const open = asked.findIndex((one) => !state.answers[one.name]);
    show(open < 0 ? asked.length : Math.min(state.place, open));
  }

  $("start").addEventListener("click", () => { state.begun = true; show(0); });
  $("back").addEventListener("click", () => { if (!waiting && state.place) show(state.place - 1); });
  $("next").addEventListener("click", () => { if (!waiting) show(state.place + 1); });
  $("review").addEventListener("click", () => show(0));
  $("save").addEventListener("click", download);
  $("share").addEventListener("click", async () => {
    try {
      await navigator.share({ files: [file()] });
      if (!server) handed();
    } catch { /* not sent: the buttons stay */ }
  });
  $("again").addEventListener("click", () => { send(); tell(); });
  $("other").addEventListener("click", () => {
    if (state.kept >= state.changed) begin(fresh());
    else $("sure").hidden = false;
  });
  $("lose").addEventListener("click", () => begin(fresh()));
  addEventListener("online", () => send());
  addEventListener("keydown", (event) => {
    if ($("ask").hidden || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    const number = Number(event.key);
    if (number >= 1 && number <= asked[state.place].answers.length) choose(number - 1);
    else if (event.key === "ArrowLeft") $("back").click();
    else if (event.key === "ArrowRight" && !$("next").disabled) $("next").click();
  });

  begin(load());
})();
