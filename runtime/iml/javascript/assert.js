// Tests of custom functions: `it`, and the part of Node's assert module that such tests use.
// Evaluated inside a context with the prelude; the value is the runner.
(function () {
  "use strict";

  class AssertionError extends Error {
    constructor(message, actual, expected, operator) {
      super(message);
      this.name = "AssertionError";
      this.code = "ERR_ASSERTION";
      Object.assign(this, { actual, expected, operator });
    }
  }

  function shown(value) {
    if (typeof value === "string") return "'" + value + "'";
    if (typeof value === "bigint") return value + "n";
    if (value instanceof Error) return "[" + value.name + ": " + value.message + "]";
    if (typeof value !== "object" || value === null) return Object.is(value, -0) ? "-0" : String(value);
    try {
      return JSON.stringify(value, (_, member) => (typeof member === "bigint" ? member + "n" : member)) ?? String(value);
    } catch {
      return Object.prototype.toString.call(value);
    }
  }

  function fail(message, standard, actual, expected, operator) {
    if (message instanceof Error) throw message;
    throw new AssertionError(message === undefined ? standard : String(message), actual, expected, operator);
  }

  const kindOf = (value) => Object.prototype.toString.call(value);
  const isObject = (value) => typeof value === "object" && value !== null;

  function same(left, right, strict, seen) {
    if (strict ? Object.is(left, right) : left == right || (left !== left && right !== right)) return true;
    if (!isObject(left) || !isObject(right)) return false;
    if (kindOf(left) !== kindOf(right) || Array.isArray(left) !== Array.isArray(right)) return false;
    if (strict && Object.getPrototypeOf(left) !== Object.getPrototypeOf(right)) return false;
    if (seen.some(([a, b]) => a === left && b === right)) return true;
    seen = [...seen, [left, right]];
    if (left instanceof Date && left.getTime() !== right.getTime()) return false;
    if (left instanceof RegExp && String(left) !== String(right)) return false;
    if (left instanceof Error && (left.message !== right.message || left.name !== right.name)) return false;
    if (left instanceof Number || left instanceof String || left instanceof Boolean) {
      if (!same(left.valueOf(), right.valueOf(), strict, seen)) return false;
    }
    if (left instanceof Map || left instanceof Set) {
      if (left.size !== right.size) return false;
      const others = [...right];
      return [...left].every((item) => {
        const at = others.findIndex((other) => same(item, other, strict, seen));
        if (at >= 0) others.splice(at, 1);
        return at >= 0;
      });
    }
    const keys = Object.keys(left);
    if (keys.length !== Object.keys(right).length || left.length !== right.length) return false;
    return keys.every((key) => Object.hasOwn(right, key) && same(left[key], right[key], strict, seen));
  }

  function fits(error, expected) {
    if (expected === undefined) return true;
    if (expected instanceof RegExp) return expected.test(String(error));
    if (typeof expected === "function") {
      if (expected.prototype !== undefined && error instanceof expected) return true;
      if (expected === Error || Error.isPrototypeOf(expected)) return false;
      return expected.call({}, error) === true;
    }
    return Object.keys(expected).every((key) => {
      const wanted = expected[key];
      return wanted instanceof RegExp && typeof error?.[key] === "string" ? wanted.test(error[key]) : same(error?.[key], wanted, true, []);
    });
  }

  function thrownBy(run) {
    if (typeof run !== "function") throw new TypeError('The "fn" argument must be of type function');
    try {
      run();
    } catch (error) {
      return { error };
    }
    return undefined;
  }

  function ok(value, message) {
    if (!value) fail(message, "The expression evaluated to a falsy value: " + shown(value), value, true, "==");
  }

  const assert = function (value, message) { ok(value, message); };
  const two = (test, words, operator) => (actual, expected, message) => {
    if (!test(actual, expected)) fail(message, words + ": " + shown(actual) + " " + operator + " " + shown(expected), actual, expected, operator);
  };
  const looselyEqual = (a, b) => a == b || (a !== a && b !== b);
  Object.assign(assert, {
    AssertionError, ok,
    fail(message) { fail(message, "Failed"); },
    equal: two(looselyEqual, "Expected values to be loosely equal", "!="),
    notEqual: two((a, b) => !looselyEqual(a, b), "Expected values to be loosely unequal", "=="),
    strictEqual: two(Object.is, "Expected values to be strictly equal", "!=="),
    notStrictEqual: two((a, b) => !Object.is(a, b), "Expected values to be strictly unequal", "==="),
    deepEqual: two((a, b) => same(a, b, false, []), "Expected values to be loosely deep-equal", "should equal"),
    notDeepEqual: two((a, b) => !same(a, b, false, []), "Expected values not to be loosely deep-equal", "should not equal"),
    deepStrictEqual: two((a, b) => same(a, b, true, []), "Expected values to be strictly deep-equal", "should equal"),
    notDeepStrictEqual: two((a, b) => !same(a, b, true, []), "Expected values not to be strictly deep-equal", "should not equal"),
    match: two((a, b) => typeof a === "string" && b.test(a), "The input did not match the regular expression", "should match"),
    doesNotMatch: two((a, b) => typeof a !== "string" || !b.test(a), "The input was expected not to match", "should not match"),
    ifError(value) {
      if (value !== null && value !== undefined) fail(undefined, "ifError got unwanted exception: " + (value?.message ?? shown(value)));
    },
    throws(run, expected, message) {
      if (typeof expected === "string") [expected, message] = [undefined, expected];
      const thrown = thrownBy(run);
      if (thrown === undefined) fail(message, "Missing expected exception.", undefined, expected, "throws");
      if (!fits(thrown.error, expected)) fail(message, "The exception is not the expected one: " + shown(thrown.error), thrown.error, expected, "throws");
    },
    doesNotThrow(run, expected, message) {
      const thrown = thrownBy(run);
      if (thrown === undefined) return;
      fail(typeof expected === "string" ? expected : message, "Got unwanted exception: " + (thrown.error?.message ?? shown(thrown.error)));
    },
  });
  assert.strict = Object.assign(function (value, message) { ok(value, message); }, assert, {
    equal: assert.strictEqual, notEqual: assert.notStrictEqual, deepEqual: assert.deepStrictEqual, notDeepEqual: assert.notDeepStrictEqual,
  });

  const textOf = (error) => {
    try {
      return typeof error === "object" && error !== null && "message" in error ? String(error.message) : String(error);
    } catch {
      return "It threw something that has no text.";
    }
  };

  return function (script, name, call, timezone) {
    const tests = [];
    let critical = null;
    const it = function (title, run) {
      let error = null;
      try {
        const result = run();
        if (result instanceof Promise) error = "The test is asynchronous; a test ends when its function returns.";
      } catch (thrown) {
        error = textOf(thrown);
      }
      tests.push([String(title), error]);
    };
    try {
      const body = new Function("it", "assert", "environment", name, script);
      body.call(undefined, it, assert, { timezone }, function (...args) { return call(name, args); });
    } catch (error) {
      critical = textOf(error);
    }
    return { tests, critical };
  };
})()
