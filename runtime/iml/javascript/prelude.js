// What a custom function sees: the ECMAScript built-ins, frozen, and Buffer, iml, debug. Nothing else.
// The value of this file is the one function through which the child process calls in.

const MAX_DEBUG = 5000;
const OUTSIDE_ECMASCRIPT = ["queueMicrotask", "DOMException", "btoa", "atob", "performance", "navigator", "console", "print",
  "gc", "os", "std", "bjson", "scriptArgs", "__loadScript", "__host", "__log"];

const global = globalThis;
const host = global.__host, log = global.__log;
const evaluate = global.eval;
const sources = new Map(), factories = new Map();
let zone = "UTC", logged = 0;

// ---- errors -------------------------------------------------------------------------------------------------------

const isOutOfMemory = (error) => error instanceof InternalError && /out of memory|string too long/.test(error.message);

function messageOf(error) {
  try {
    if (typeof error === "object" && error !== null && "message" in error) return String(error.message);
    return String(error);
  } catch {
    return "The function threw something that has no text.";
  }
}

// ---- iml and debug ------------------------------------------------------------------------------------------------

function callBuiltin(name, args) {
  const texts = [];
  for (let i = 0; i < args.length; i++) texts.push(encodeTop(args[i]));
  const answer = host(name, joined("[", texts.join(","), "]"), zone);
  if (answer[0] === "=") return decodeValue(answer.slice(1));
  throw new Error(jsonParse(answer.slice(1)));
}

function functionNamed(name) {
  let make = factories.get(name);
  if (make === undefined) {
    const source = sources.get(name);
    if (source === null) throw new Error("The app's files hold no code for the function '" + name + "'.");
    // A source is one expression when it stands between any two brackets; `1); more(); (2` does not.
    evaluate("(function () { return [" + source + "\n]; })");
    make = evaluate("(function () { return (" + source + "\n); })");
    factories.set(name, make);
  }
  // Made anew for each call, so that no closure of an earlier call can be reached.
  const made = make.call(undefined);
  if (typeof made !== "function") throw new TypeError("The source is not a function.");
  return made;
}

const callCustom = (name, args) => Reflect.apply(functionNamed(name), { timezone: zone }, args);

function shownInLog(value) {
  if (typeof value === "string") return value;
  try {
    return (typeof value === "object" && value !== null ? jsonText(value) : undefined) ?? String(value);
  } catch {
    return "[" + typeof value + "]";
  }
}

const debug = function debug(...values) {
  if (logged > MAX_DEBUG) return;
  const line = values.map(shownInLog).join(" ").slice(0, Math.max(MAX_DEBUG - logged, 0));
  logged += line.length + 1;
  log(joined(jsonText(line)));
};

const iml = {};
const named = (name, run) => Object.defineProperty(run, "name", { value: name });
const expose = (target, name, value, enumerable) => Object.defineProperty(target, name, { value, enumerable });

// ---- freezing -----------------------------------------------------------------------------------------------------

// On a frozen prototype a data property would also forbid `object.name = ...` on every object below it. As an accessor
// it gives the object a property of its own, which is what an assignment means when nothing is frozen.
function allowOverride(prototype, keys) {
  for (const key of keys) {
    const own = Object.getOwnPropertyDescriptor(prototype, key);
    if (own === undefined || !own.configurable || !("value" in own)) continue;
    const value = own.value;
    Object.defineProperty(prototype, key, {
      get() { return value; },
      set(given) {
        if (this === prototype || Object(this) !== this) throw new TypeError("'" + String(key) + "' of a built-in is read-only");
        Object.defineProperty(this, key, { value: given, writable: true, enumerable: true, configurable: true });
      },
      enumerable: own.enumerable, configurable: false,
    });
  }
}

function freezeAll(roots) {
  const seen = new Set(), waiting = [...roots];
  while (waiting.length > 0) {
    const value = waiting.pop();
    if ((typeof value !== "object" && typeof value !== "function") || value === null || seen.has(value)) continue;
    seen.add(value);
    Object.freeze(value);
    waiting.push(Object.getPrototypeOf(value));
    for (const key of Reflect.ownKeys(value)) {
      const { value: member, get, set } = Object.getOwnPropertyDescriptor(value, key);
      waiting.push(member, get, set);
    }
  }
}

function hiddenIntrinsics() {
  const made = [
    function* () {}, async function () {}, async function* () {}, (function () { return arguments; })(),
    [][Symbol.iterator](), ""[Symbol.iterator](), new Map()[Symbol.iterator](), new Set()[Symbol.iterator](),
    "".matchAll(/x/g), Iterator.from({ next() {} }), [].values().map(() => 0), (async function* () {})(), (function* () {})(),
    Object.getOwnPropertyDescriptor((function () { "use strict"; return arguments; })(), "callee")?.get,
  ];
  return made.filter((value) => value !== undefined).map((value) => Object.getPrototypeOf(value)).concat(made[0].prototype);
}

function lock() {
  // Setters that reach state of the engine behind frozen objects; both are extensions of the engine.
  for (const name of ["prepareStackTrace", "stackTraceLimit"]) delete Error[name];
  for (const name of OUTSIDE_ECMASCRIPT) delete global[name];
  expose(global, "Buffer", Buffer);
  expose(global, "iml", iml);
  expose(global, "debug", debug);

  const errors = Reflect.ownKeys(global).map((key) => global[key])
    .filter((value) => typeof value === "function" && (value === Error || Error.isPrototypeOf(value)));
  for (const type of errors) allowOverride(type.prototype, Reflect.ownKeys(type.prototype));
  for (const type of [Object, Function]) allowOverride(type.prototype, Reflect.ownKeys(type.prototype));
  for (const type of [Array, Date, RegExp, Map, Set, Promise, String, Number, Boolean, Symbol, Iterator]) {
    allowOverride(type.prototype, ["constructor", "toString", "toLocaleString", "valueOf", "toJSON"]);
  }
  const values = Reflect.ownKeys(global).map((key) => global[key]).filter((value) => value !== global);
  freezeAll([...values, ...hiddenIntrinsics(), Object.getPrototypeOf(global)]);
  for (const key of Reflect.ownKeys(global)) {
    Object.defineProperty(global, key, { writable: false, configurable: false });
  }
}

let known = new Set();

// Takes away what a call added to the global object; false when it cannot be as before, then nobody uses it again.
function swept() {
  if (!Object.isExtensible(global) || Object.getPrototypeOf(global) !== Object.prototype) return false;
  const keys = Reflect.ownKeys(global);
  if (keys.length === known.size) return true;
  for (const key of keys) if (!known.has(key) && !Reflect.deleteProperty(global, key)) return false;
  return true;
}

// ---- the way in ---------------------------------------------------------------------------------------------------

function open(text) {
  const [given, builtins] = jsonParse(text);
  for (const name of Object.keys(given)) sources.set(name, given[name]);
  for (const name of builtins) {
    if (!sources.has(name)) expose(iml, name, named(name, function (...args) { return callBuiltin(name, args); }), true);
  }
  for (const name of sources.keys()) {
    expose(iml, name, named(name, function (...args) { return callCustom(name, args); }), true);
  }
  lock();
  known = new Set(Reflect.ownKeys(global));
  return "++";
}

// "+" or "-": whether the context is as before; then "=" and a result, or "!", a kind, ":" and the text of the error.
function answer(run) {
  let text;
  try {
    text = joined("=", run());
  } catch (error) {
    const kind = isOutOfMemory(error) ? "memory" : error instanceof NoValue ? error.kind : error === null ? "null" : "thrown";
    text = joined("!", kind, ":", jsonText(messageOf(error)));
  }
  return joined(swept() ? "+" : "-", text);
}

return function (operation, name, timezone, body, library) {
  if (operation === "open") return open(name);
  zone = timezone;
  logged = 0;
  if (operation === "call") return answer(() => encodeTop(callCustom(name, decodeValue(body))));
  return answer(() => runTests(name, body, library));
};

function runTests(name, script, library) {
  const run = evaluate(library);
  return encodeTop(run(jsonParse(script), name, callCustom, zone));
}
