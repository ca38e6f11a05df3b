const DATA = JSON.parse(document.getElementById("data").textContent);
const { rows, steps, values, sources } = DATA;
const byId = (id) => document.getElementById(id);
const known = (index) => index !== null && index !== undefined; // of a row, a value or a step
const folded = new Set();
let at = 0;
let timer = null;

// ---- what happened to each row, and when -------------------------------------------------------

const story = rows.map((row) => ({
  made: null,
  used: [],
  values: row.value === undefined ? [] : [{ step: -1, value: row.value }],
  gradients: [],
  sent: [],
}));
steps.forEach((step, i) => {
  if (!known(step.row)) return;
  const own = story[step.row];
  if (step.kind === "forward") {
    own.made = i;
    own.values.push({ step: i, value: step.result });
    for (const input of step.inputs) if (known(input.row)) story[input.row].used.push(i);
  } else if (step.kind === "edit") {
    const written = step.changed.length ? [] : step.inputs; // a recorded edit makes rows of its own
    for (const input of written) if (known(input.row)) story[input.row].values.push({ step: i, value: input.value });
  } else if (step.kind !== "failed") {
    own.gradients.push({ step: i, value: step.left ?? step.given });
    for (const made of step.made || []) if (known(made.row) && known(made.value)) story[made.row].sent.push(i);
  }
});
const latest = (list, step) => list.filter((entry) => entry.step <= step && entry.value !== null).pop();
const begun = []; // of each step, the last one of a forward pass up to it: gradients before it are another pass's
steps.forEach((step, i) => {
  begun.push(step.kind === "forward" && !step.inside ? i : (begun[i - 1] ?? -1));
});
const arrived = (row, step) => {
  const found = latest(story[row].gradients, step);
  return found && found.step > begun[step] ? found : undefined;
};
const notFinite = (value) => known(value) && values[value].nan + values[value].inf > 0;
const arises = steps.map((step) => {
  if (step.kind === "leaf") return false;
  const forward = step.kind === "backward" ? steps[story[step.row].made] : step;
  const before = [...(forward?.inputs || []), ...(step.terms || [])].some((entry) => notFinite(entry.value));
  const after = [step.result, step.given, ...(step.made || []).map((made) => made.value)].some(notFinite);
  return !before && after;
});

// ---- making elements, writing numbers ----------------------------------------------------------

function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "onclick") made.addEventListener("click", value);
    else if (value !== null) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== ""));
  return made;
}

function svg(inner, row) {
  const box = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  box.setAttribute("width", row.width);
  box.setAttribute("height", row.height);
  box.setAttribute("aria-hidden", "true");
  box.innerHTML = inner;
  return box;
}

function brief(x) {
  if (typeof x !== "number") return String(x).replace("Infinity", "inf").replace("NaN", "nan");
  if (!Number.isFinite(x)) return Number.isNaN(x) ? "nan" : x > 0 ? "inf" : "-inf";
  if (Number.isInteger(x) && Math.abs(x) < 1e15) return String(x);
  return String(Number(x.toPrecision(5)));
}

function aligned(numbers, precision) {
  const most = greatest(numbers);
  if (numbers.filter(Number.isFinite).every(Number.isInteger) && most < 1e15) return numbers.map(brief);
  const digits = Math.min(6, Math.max(0, precision - Math.floor(Math.log10(most))));
  const plain = most >= 1e-3 && most < 1e6;
  return numbers.map((x) => (Number.isFinite(x) ? (plain ? x.toFixed(digits) : x.toExponential(3)) : brief(x)));
}

const [BELOW, ABOVE] = [
  [40, 110, 200],
  [230, 130, 20],
]; // zero: red, green, blue
const greatest = (part) => part.reduce((most, x) => (Number.isFinite(x) ? Math.max(most, Math.abs(x)) : most), 0) || 1;

const decoded = new Map();
function numbersOf(index) {
  if (!decoded.has(index)) {
    const { numbers, kind } = values[index];
    const bytes = Uint8Array.from(atob(numbers), (c) => c.charCodeAt(0));
    decoded.set(index, Array.from(kind === "<f8" ? new Float64Array(bytes.buffer) : new Float32Array(bytes.buffer)));
  }
  return decoded.get(index);
}

function numbersOfSlice(index, slice) {
  const [, height, width] = values[index].part;
  return numbersOf(index).slice(slice * height * width, (slice + 1) * height * width);
}

const sizeOf = (value) => value.shape.reduce((size, n) => size * n, 1);
const shapeOf = (shape) => `(${shape.join(", ")}${shape.length === 1 ? "," : ""})`;

function inline(index, most = 6) {
  const value = values[index];
  const size = sizeOf(value);
  if (size === 1) return brief(numbersOf(index)[0]);
  return size > 0 && size <= most && value.shape.length === 1 ? `[${numbersOf(index).map(brief).join(", ")}]` : null;
}

const titleOf = (row) => (rows[row].name ? `${rows[row].name} = ${rows[row].label}` : rows[row].label);

function stepButton(step, words) {
  return el("button", { type: "button", onclick: () => show(step) }, `${words} (step ${step + 1})`);
}

// ---- a value: numbers, or a picture with a slider ----------------------------------------------

const chosen = new Map();

function card(caption, index, options = {}) {
  if (!known(index))
    return el(
      "figure",
      { class: `empty ${options.kind || ""}` },
      el("figcaption", {}, caption),
      options.empty || "not there yet",
    );
  const value = values[index];
  const figure = el("figure", { class: options.kind || "value" });
  figure.append(el("figcaption", {}, caption, " ", el("small", {}, `${shapeOf(value.shape)} ${value.dtype}`)));
  const place = el("div", { class: "numbers" });
  const picked = el("p", { class: "picked", role: "status" });
  figure.append(place, picked);
  const [slices, height, width] = value.part;
  const draw = (slice) => {
    place.replaceChildren(height * width <= 64 && width <= 10 ? table(index, slice) : canvas(index, slice, caption, picked));
  };
  const size = sizeOf(value);
  const start = Math.min(chosen.get(caption) || 0, slices - 1);
  if (size > 0) draw(start);
  else place.append("no elements");
  if (slices > 1) {
    const words = el("span", {}, sliceName(value, start));
    const slider = el("input", { type: "range", min: 0, max: slices - 1, value: start, "aria-label": `slice of ${caption}` });
    slider.addEventListener("input", () => {
      chosen.set(caption, Number(slider.value));
      for (const other of figure.parentElement.querySelectorAll("input")) {
        if (other.max !== slider.max || other.value === slider.value) continue;
        other.value = slider.value; // the value and its gradient show the same slice
        other.dispatchEvent(new Event("input"));
      }
      words.textContent = sliceName(value, slider.value);
      picked.textContent = "";
      draw(Number(slider.value));
    });
    figure.append(el("label", { class: "facts" }, "slice ", words, slider));
  }
  figure.append(...facts(value, size));
  if (options.links?.length) figure.append(el("p", { class: "links" }, ...options.links));
  return figure;
}

function facts(value, size) {
  const found = [];
  if (size > 1 && value.mean !== undefined) {
    const { mean, std, min, max, zeros } = value;
    const share = zeros ? `, ${brief(100 * zeros)} % zeros` : "";
    const words = `mean ${brief(mean)}, std ${brief(std)}, min ${brief(min)}, max ${brief(max)}${share}`;
    found.push(el("p", { class: "facts" }, words));
  }
  if (value.nan || value.inf) found.push(el("p", { class: "facts bad" }, `${value.nan} nan, ${value.inf} inf`));
  const [slices, height, width] = value.part;
  if (slices * height * width < size) {
    const [down, right] = value.steps;
    const every = `${down > 1 ? `, one row in ${down}` : ""}${right > 1 ? `, one column in ${right}` : ""}`;
    const [some, all] = [slices * height * width, size].map((n) => n.toLocaleString("en"));
    found.push(el("p", { class: "facts" }, `shown: ${some} of ${all}${every}`));
  }
  return found;
}

function indexOf(value, slice, i, j) {
  const lead = value.shape.slice(0, -2);
  const index = [];
  for (const n of [...lead].reverse()) {
    index.unshift(slice % n);
    slice = Math.floor(slice / n);
  }
  const ends = [i * value.steps[0], j * value.steps[1]].slice(2 - Math.min(2, value.shape.length));
  return [...index, ...ends];
}

const sliceName = (value, slice) => `[${[...indexOf(value, Number(slice), 0, 0).slice(0, -2), ":", ":"].join(", ")}]`;

function table(index, slice) {
  const [, height, width] = values[index].part;
  const part = numbersOfSlice(index, slice);
  const words = aligned(part, width > 6 ? 2 : 4);
  const most = greatest(part);
  const body = el("tbody");
  for (let i = 0; i < height; i++) {
    const line = el("tr");
    for (let k = i * width; k < (i + 1) * width; k++) {
      const cell = el("td", { class: Number.isFinite(part[k]) ? null : "bad", title: brief(part[k]) }, words[k]);
      const share = Number.isFinite(part[k]) && part.length > 6 ? (0.6 * Math.abs(part[k])) / most : 0;
      cell.style.background = `rgb(${(part[k] < 0 ? BELOW : ABOVE).join(" ")} / ${share})`;
      line.append(cell);
    }
    body.append(line);
  }
  return el("table", { class: width > 6 ? "wide" : null }, body);
}

function canvas(index, slice, caption, picked) {
  const value = values[index];
  const [, height, width] = value.part;
  const part = numbersOfSlice(index, slice);
  const scale = Math.max(1, Math.min(12, Math.floor(320 / Math.max(height, width))));
  const words = `${caption}, ${height} by ${width} numbers as colors; arrow keys read them`;
  const made = el("canvas", { width, height, tabindex: 0, role: "img", "aria-label": words });
  made.style.width = `${width * scale}px`;
  made.style.aspectRatio = `${width} / ${height}`;
  paint(made, part, width, height);
  let [i, j] = [0, 0];
  const pick = (down, right) => {
    i = Math.max(0, Math.min(height - 1, down));
    j = Math.max(0, Math.min(width - 1, right));
    const x = part[i * width + j];
    picked.textContent = `[${indexOf(value, slice, i, j).join(", ")}] is ${brief(x)}`;
    picked.classList.toggle("bad", !Number.isFinite(x));
  };
  made.addEventListener("click", (event) => {
    const { left, top, width: wide, height: high } = made.getBoundingClientRect();
    pick(Math.floor(((event.clientY - top) / high) * height), Math.floor(((event.clientX - left) / wide) * width));
  });
  made.addEventListener("keydown", (event) => {
    const move = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (!move) return;
    event.preventDefault();
    event.stopPropagation();
    pick(i + move[0], j + move[1]);
  });
  return made;
}

function paint(made, part, width, height) {
  const most = greatest(part);
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const zero = dark ? [20, 23, 27] : [255, 255, 255];
  const pixels = new ImageData(width, height);
  part.forEach((x, k) => {
    const end = Number.isFinite(x) ? (x < 0 ? BELOW : ABOVE) : [255, 0, 0];
    const share = Number.isFinite(x) ? Math.abs(x) / most : 1;
    for (let c = 0; c < 3; c++) pixels.data[4 * k + c] = zero[c] + share * (end[c] - zero[c]);
    pixels.data[4 * k + 3] = 255;
  });
  made.getContext("2d").putImageData(pixels, 0, 0);
}

// ---- a value and its gradient, in the same place -----------------------------------------------

const KINDS = { data: "no gradient is needed", leaf: "a leaf", parameter: "a parameter", op: "made before the block" };

function linksOf(row) {
  if (!known(row)) return [];
  const { made, used } = story[row];
  const links = made === null ? [KINDS[rows[row].kind]] : ["from ", stepButton(made, rows[row].label)];
  if (used.length)
    links.push(
      made === null ? "; to " : " to ",
      ...[...new Set(used)].map((step) => stepButton(step, rows[steps[step].row].label)),
    );
  return links;
}

function gradientLinks(row, pass, part) {
  if (!known(row) || pass === undefined) return [];
  const of = (list) => [...new Set(list)].filter((step) => steps[step].pass === pass);
  const from = part ? [] : of(story[row].sent);
  const links = from.length
    ? ["from ", ...from.map((step) => stepButton(step, `backward of ${rows[steps[step].row].label}`))]
    : [];
  for (const step of of(story[row].gradients.map((entry) => entry.step))) {
    const leaf = steps[step].kept ? "left in .grad of" : "returned by grad() for";
    links.push(" ", stepButton(step, `${steps[step].kind === "backward" ? "used in backward of" : leaf} ${rows[row].label}`));
  }
  return links;
}

function pair(name, row, value, gradient, { pass, part = false, below = [], none = "not there yet" } = {}) {
  const owner = known(row) ? titleOf(row) : "";
  const words = owner && owner !== name ? `${name}: ${owner}` : name;
  const constant = !known(row) || rows[row].kind === "data";
  const title = part ? `made here for ${name}` : `gradient of ${name}`;
  const right = constant
    ? card(title, null, { kind: "gradient", empty: "none is needed" })
    : card(title, gradient, { kind: "gradient", links: gradientLinks(row, pass, part), empty: none });
  const left = card(words, value, { links: linksOf(row), empty: "from before the block: not seen" });
  return el("section", { class: "place" }, el("div", { class: "pair" }, left, right), ...below);
}

function code(list) {
  return list.map(([title, index], i) => {
    const { file, line, text } = sources[index];
    const words = el("summary", {}, title, " ", el("small", {}, file ? `${file}, line ${line}` : ""));
    return el("details", i ? {} : { open: "" }, words, el("pre", {}, el("code", {}, text)));
  });
}

function sum(step) {
  if (!step.terms.length) return null;
  const source = (term) => (term.row === null ? "the start" : rows[term.row].label);
  const inlined = step.terms.map((term) => inline(term.value));
  const result = step.given === null ? null : inline(step.given);
  if (inlined.every((words) => words !== null) && result !== null) {
    const words = step.terms.map((term, i) => `${inlined[i]} from ${source(term)}`).join(" + ");
    return el("p", { class: "sum" }, `What arrives: ${words}${step.terms.length > 1 && !step.hooked ? ` = ${result}` : ""}`);
  }
  if (step.terms.length === 1) return el("p", { class: "sum" }, `What arrives comes from ${source(step.terms[0])}.`);
  const cards = step.terms.map((term) => card(`from ${source(term)}`, term.value, { kind: "gradient" }));
  return el("div", { class: "sum" }, `What arrives is a sum of ${step.terms.length}:`, el("div", { class: "pair" }, ...cards));
}

// ---- the panel of each kind of step ------------------------------------------------------------

function inputsOf(step, shown) {
  const forward = step.kind === "forward" ? step : steps[story[step.row].made];
  return (forward?.inputs || []).map((input) => {
    if (input.text !== undefined) return el("p", {}, `${input.name} = ${input.text}`);
    return shown(input);
  });
}

const calledAt = ({ call }) => el("p", { class: "where" }, el("code", {}, call.text), ` ${call.file}, line ${call.line}`);
const note = (words) => (words ? el("p", { class: "formula" }, words) : null);
const keptBy = (step) => step.kept.map((entry) => card(`kept for the vjp: ${entry.name}`, entry.value));

const PANELS = {
  forward(step) {
    const { row } = step;
    const inputs = inputsOf(step, (input) => pair(input.name, input.row, input.value, null));
    return [
      calledAt(step),
      note(step.formula),
      note(step.settings && `settings: ${step.settings}`),
      el("h3", {}, "Inputs"),
      ...inputs,
      el("h3", {}, "Result"),
      pair("result", row, step.result, null),
      ...keptBy(step),
      el("h3", {}, "The code that ran"),
      ...code(step.code),
    ];
  },
  backward(step, i) {
    const { row, made } = step;
    const madeAt = story[row].made;
    const before = (at) => latest(story[at].values, i)?.value ?? null;
    const own = (entry) => {
      const below = entry.code ? code(entry.code) : [];
      if (known(entry.summed)) {
        const words = `The input was broadcast: its gradient is summed to ${shapeOf(values[entry.summed].shape)}`;
        below.unshift(note(`${words}${inline(entry.summed) ? `, ${inline(entry.summed)}` : ""}.`));
      }
      return below;
    };
    const left = [...made];
    const places = inputsOf(step, (input) => {
      const k = left.findIndex((entry) => entry.name === input.name && entry.row === input.row);
      const [entry] = k < 0 ? [null] : left.splice(k, 1);
      const settings = { pass: step.pass, part: true, below: entry ? own(entry) : [], none: "none is needed" };
      return pair(input.name, input.row, input.value, entry?.value, settings);
    });
    const unseen = left.map((entry) => {
      const value = known(entry.row) ? before(entry.row) : null;
      return pair(entry.name, entry.row, value, entry.value, { pass: step.pass, part: true, below: own(entry) });
    });
    return [
      sum(step),
      note(step.hooked && "A hook has seen it, and may have replaced it."),
      note(step.asked.length && `The vjp asks for ${step.asked.join(", ")}.`),
      note(step.through && "Under create_graph=True its definition is differentiated in its place."),
      el("h3", {}, "Inputs, and what the vjp makes for them"),
      ...places,
      ...unseen,
      el("h3", {}, "Result, and what has arrived for it"),
      pair("result", row, madeAt === null ? null : steps[madeAt].result, step.given, { pass: step.pass }),
      ...(madeAt === null ? [] : keptBy(steps[madeAt])),
      ...code(step.code),
    ];
  },
  leaf(step, i) {
    const more = step.left !== null && step.given !== null && step.left !== step.given;
    const value = latest(story[step.row].values, i);
    return [
      sum(step),
      note(step.hooked && "A hook has seen it, and may have replaced it."),
      el("h3", {}, step.kept ? "What is left in .grad" : "What grad() returns"),
      pair(titleOf(step.row), step.row, value ? value.value : null, step.left ?? step.given, {
        pass: step.pass,
        none: "nothing: a hook has taken it",
      }),
      note(more && "It was added to what .grad had already."),
    ];
  },
  edit(step) {
    const histories = step.changed.map((entry) => {
      const [before, now] = [entry.before, entry.now].map((row) => (known(row) ? titleOf(row) : "none"));
      return el("li", {}, `${entry.name}: its history was ${before}, and is ${now} now`);
    });
    return [
      calledAt(step),
      el("h3", {}, "What shares the memory, after the edit"),
      ...step.inputs.map((input) => {
        const now = step.changed.find((entry) => entry.name === input.name)?.now;
        return card(input.name, input.value, { links: linksOf(now ?? input.row) });
      }),
      el("h3", {}, "Whose history changed"),
      histories.length ? el("ul", {}, ...histories) : el("p", {}, "None: the edit is not recorded."),
      histories.length && step.inputs.length > 1 ? el("p", {}, "Views take theirs anew when they are used next.") : null,
    ];
  },
  failed(step) {
    return [
      el("p", { class: "notice" }, step.text),
      step.cause === null ? null : el("p", { class: "links" }, "The edit: ", stepButton(step.cause, steps[step.cause].name)),
    ];
  },
};

function titleOfStep(step) {
  const label = known(step.row) ? rows[step.row].label : "";
  const pass = step.pass > 1 ? `backward ${step.pass}` : "backward";
  return {
    forward: () => `${step.inside ? "in backward" : "forward"}: ${label}`,
    backward: () => `${pass}: ${label}`,
    leaf: () => `${pass}: ${titleOf(step.row)}`,
    edit: () => `edit in place: ${step.name}`,
    failed: () => `${pass} fails${label ? ` at ${label}` : ""}`,
  }[step.kind]();
}

// ---- the graph ---------------------------------------------------------------------------------

const items = rows.map((row, r) => {
  const number = el("span", { class: "number" });
  const gradient = el("span", { class: "number gradient" });
  const label = el("span", { class: "label" }, titleOf(r));
  const button = el(
    "button",
    { type: "button", onclick: () => (row.kind === "module" ? fold(r) : goTo(r)) },
    label,
    number,
    gradient,
  );
  const item = el("li", { class: row.kind });
  if (row.kind === "module") button.setAttribute("aria-expanded", "true");
  button.style.paddingLeft = `${0.4 + 0.7 * boxesAround(r).length}rem`;
  item.append(svg(row.svg, row), button);
  return { item, button, number, gradient };
});
byId("graph").append(...items.map(({ item }) => item));

function boxesAround(row) {
  const found = []; // the innermost first
  for (let { box } = rows[row]; box !== null; box = rows[box].box) found.push(box);
  return found;
}

function fold(row) {
  if (!folded.delete(row)) folded.add(row);
  refold();
}

function refold() {
  rows.forEach((row, r) => {
    items[r].item.hidden = boxesAround(r).some((box) => folded.has(box));
    if (row.kind === "module") {
      items[r].button.setAttribute("aria-expanded", String(!folded.has(r)));
      items[r].item.replaceChild(svg(folded.has(r) ? row.folded : row.svg, row), items[r].item.firstChild);
    }
  });
}

function goTo(row) {
  const own = steps.map((step, i) => (step.row === row ? i : -1)).filter((i) => i >= 0);
  const used = story[row].used;
  const all = own.length ? own : used;
  if (all.length) show(all.find((i) => i > at) ?? all[0]);
}

function shortly(entry) {
  if (!entry) return "";
  return inline(entry.value, 2) ?? shapeOf(values[entry.value].shape);
}

// ---- stepping ----------------------------------------------------------------------------------

function show(i) {
  at = Math.max(0, Math.min(steps.length - 1, i));
  const step = steps[at];
  const panel = byId("panel");
  byId("slider").value = at;
  if (!step) {
    for (const button of document.querySelectorAll(".controls button")) button.disabled = true;
    panel.replaceChildren("Nothing was recorded: no op in the block had an input that requires a gradient.");
    return;
  }
  const title = titleOfStep(step);
  byId("now").textContent = `Step ${at + 1} of ${steps.length}: ${title}`;
  byId("slider").setAttribute("aria-valuetext", byId("now").textContent);
  const notes = [];
  if (arises[at]) notes.push(el("p", { class: "notice bad" }, "Here nan or inf arises: what came in was finite."));
  else if (arises.indexOf(true) >= 0) {
    const first = arises.indexOf(true);
    notes.push(el("p", { class: "links" }, "Where nan or inf arose: ", stepButton(first, titleOfStep(steps[first]))));
  }
  if (DATA.missed) notes.push(el("p", { class: "notice" }, "The program went on: these are its first steps."));
  panel.className = step.kind;
  if (panel.getBoundingClientRect().top < 0) panel.scrollIntoView();
  panel.replaceChildren(el("h2", {}, title), ...notes, ...PANELS[step.kind](step, at).filter((part) => part !== null));
  items.forEach(({ item, number, gradient }, r) => {
    const value = latest(story[r].values, at);
    const grad = arrived(r, at);
    const module = rows[r].kind === "module";
    item.classList.toggle("here", r === step.row);
    item.classList.toggle("seen", Boolean(value));
    item.classList.toggle("back", Boolean(grad));
    item.classList.toggle("later", !module && story[r].made !== null && story[r].made > at);
    if (r === step.row) item.setAttribute("aria-current", "step");
    else item.removeAttribute("aria-current");
    number.textContent = module ? "" : value ? shortly(value) : shapeOf(rows[r].shape);
    gradient.textContent = grad ? `grad ${inline(grad.value, 2) ?? ""}` : "";
    item.classList.toggle("bad", notFinite(value?.value) || notFinite(grad?.value));
  });
  for (const [id, end] of [
    ["first", 0],
    ["back", 0],
    ["next", steps.length - 1],
    ["last", steps.length - 1],
  ])
    byId(id).disabled = at === end;
  reveal(step.row);
}

function reveal(row) {
  if (!known(row)) return;
  const seen = boxesAround(row).findLast((box) => folded.has(box)) ?? row;
  const nav = document.querySelector("nav");
  const { item } = items[seen];
  const top = item.offsetTop - nav.offsetTop;
  if (top < nav.scrollTop || top > nav.scrollTop + nav.clientHeight - 56) nav.scrollTop = top - nav.clientHeight / 2;
}

function play() {
  const playing = timer !== null;
  clearInterval(timer);
  timer = null;
  if (!playing) {
    if (at === steps.length - 1) show(0);
    timer = setInterval(() => (at < steps.length - 1 ? show(at + 1) : play()), 900);
  }
  byId("play").textContent = playing ? "Play" : "Stop";
  byId("play").setAttribute("aria-pressed", String(!playing));
}

const KEYS = {
  ArrowRight: () => show(at + 1),
  ArrowLeft: () => show(at - 1),
  Home: () => show(0),
  End: () => show(steps.length - 1),
  p: play,
};
document.addEventListener("keydown", (event) => {
  const plain = !event.ctrlKey && !event.metaKey && !event.altKey;
  if (plain && KEYS[event.key] && !event.target.closest("input, .numbers, pre")) {
    event.preventDefault();
    KEYS[event.key]();
  }
});
byId("slider").max = Math.max(0, steps.length - 1);
byId("slider").addEventListener("input", () => show(Number(byId("slider").value)));
byId("play").addEventListener("click", play);
for (const [id, go] of [
  ["first", () => 0],
  ["back", () => at - 1],
  ["next", () => at + 1],
  ["last", () => steps.length - 1],
])
  byId(id).addEventListener("click", () => show(go()));
for (const [r, row] of rows.entries()) if (rows.length > 80 && row.kind === "module" && row.box !== null) folded.add(r);
refold();
show(0);
