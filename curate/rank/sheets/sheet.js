"use strict";
// What the page's server does, within a sheet: tasks come out of the file, drafts and votes stay in the browser until they
// are downloaded. The page's own script does the rest.

const sheet = (() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const place = "curate-rank-" + data.sheet;
  const byName = new Map(data.tasks.map((task) => [task.task, task]));
  let kept = { annotator: data.annotator, votes: [], drafts: {} };
  let warned = false;

  try {
    const found = JSON.parse(localStorage.getItem(place));
    if (found && Array.isArray(found.votes)) kept = found;
  } catch (error) { /* Told when the first thing is to be kept. */ }
  if (data.annotator) kept.annotator = data.annotator;

  function save() {
    try {
      localStorage.setItem(place, JSON.stringify(kept));
    } catch (error) {
      warned = true;
    }
  }

  const last = (name) => kept.votes.findLast((vote) => vote.task === name);
  const done = () => new Set(kept.votes.map((vote) => vote.task));
  const begun = () => Object.entries(kept.drafts).filter(([name, state]) => !last(name) && Object.values(state.criteria).some((one) => one.all_bad || Object.keys(one.ranks).length));

  /** Tasks in the order in which they were first voted on. */
  const order = () => [...done()];

  function open(name) {
    const voted = done();
    const next = name || data.tasks.find((task) => !voted.has(task.task))?.task || null;
    const before = order();
    const at = next && before.includes(next) ? before.indexOf(next) : before.length;
    const head = { task: next, previous: before[at - 1] || null, done: voted.size, left: data.tasks.length - voted.size };
    if (!next) return head;
    const vote = last(next);
    const state = kept.drafts[next] || (vote && { ...structuredClone(vote.state), seconds: 0 }) || null;
    return { ...head, state, voted: !!vote, prompt: byName.get(next).prompt, answers: byName.get(next).answers };
  }

  function vote({ task, state, skipped }) {
    const before = last(task);
    const now = new Date().toISOString().replace("Z", "000Z");
    // A clock that was set back must not make of the last vote an earlier one.
    kept.votes.push({ task, skipped, state: structuredClone(state), at: before && before.at > now ? before.at : now });
    delete kept.drafts[task];
    save();
    return { saved: true };
  }

  const does = {
    start: () => ({
      annotator: kept.annotator, sheet: data.sheet, criteria: data.criteria, instructions: data.instructions,
      after: "Download the votes, and give the file back to whoever gave you this one.",
    }),
    open: ({ task }) => open(task),
    draft: ({ task, state }) => { kept.drafts[task] = state; save(); return { saved: true }; },
    vote,
  };

  /** Lines of votes.jsonl of one submission, one for each criterion; as the server of the page writes them. */
  function lines({ task, skipped, state, at }) {
    const shown = byName.get(task).answers.map((one) => one.answer);
    return data.criteria.map((criterion, number) => {
      const judged = state.criteria[criterion] || { ranks: {}, all_bad: false };
      const levels = [...new Set(Object.values(judged.ranks))].sort((a, b) => a - b);
      let ranks = Object.fromEntries(Object.entries(judged.ranks).map(([name, rank]) => [name, levels.indexOf(rank) + 1]));
      if (Object.keys(ranks).length < 2 && judged.all_bad) ranks = Object.fromEntries(shown.map((name) => [name, 1]));
      const line = { task, annotator: kept.annotator, criterion, ...(skipped ? { skipped: true } : { ranks }) };
      if (judged.all_bad && !skipped) line.all_bad = true;
      if (number === 0 && state.comment.trim()) line.comment = state.comment;
      return JSON.stringify({ ...line, shown, source: "html", seconds: Math.round(state.seconds * 10) / 10, at });
    });
  }

  function download() {
    const told = document.getElementById("trouble");
    const say = (text) => { told.textContent = text; told.hidden = !text; };
    kept.annotator = data.annotator || document.getElementById("name").value.trim();
    if (!kept.annotator) {
      say("Write your name first: votes need to say whose they are.");
      return document.getElementById("name").focus();
    }
    const found = kept.votes.flatMap(lines);
    const open = begun().length;
    const left = open ? ` ${open} ${open === 1 ? "task is" : "tasks are"} begun and not submitted.` : "";
    if (!found.length) return say("There is no vote yet: submit a task first." + left);
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob(found.map((line) => line + "\n"), { type: "application/x-ndjson" }));
    link.download = "votes-" + kept.annotator.replace(/[^\p{L}\p{N}._-]+/gu, "_") + ".jsonl";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
    say(left.trim());
  }

  function element(name, attributes, ...children) {
    const one = document.createElement(name);
    Object.entries(attributes).forEach(([key, value]) => one.setAttribute(key, value));
    one.append(...children);
    return one;
  }

  document.title = "Ranking sheet";
  const button = element("button", { type: "button", class: "main" }, "Download votes");
  button.addEventListener("click", download);
  document.querySelector(".top").append(button);
  if (!data.annotator) {
    const name = element("input", { id: "name", maxlength: "200", autocomplete: "off" });
    name.value = kept.annotator;
    name.addEventListener("input", () => { kept.annotator = name.value.trim(); save(); });
    document.querySelector("main").prepend(element("p", { class: "remark" }, element("label", { for: "name" }, "Your name"), name));
  }
  document.getElementById("whose").textContent = "Your work stays in this browser. Download the votes when you are done, or in between, and give the file back.";

  return {
    ask: async (path, body) => {
      const answer = does[path](structuredClone(body));
      if (!warned) return answer;
      const told = document.getElementById("trouble");
      told.textContent = "This browser does not keep your work: download the votes before you close the page.";
      told.hidden = false;
      return answer;
    },
  };
})();
