// Requests to our own server. One sentence of the server becomes the message of the error.

export const base = document.body.dataset.base;
const meta = document.querySelector('meta[name="csrf-token"]');

/** The server answered and said no. */
export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }

  /** Whether the same request may succeed later. */
  get isPassing() {
    return this.status === 429 || this.status >= 500;
  }

  /** Whether the session is over (or its CSRF token is an old one). */
  get isSignedOut() {
    return this.status === 401 || (this.status === 403 && /out of date|csrf/i.test(this.message));
  }
}

/** No answer came: no connection, or the server is gone. */
export class Unreachable extends Error {}

/** Use the token of a new session. */
export function useToken(token) {
  meta.content = token;
}

async function bodyOf(response) {
  try {
    return await response.json();
  } catch {
    return {};
  }
}

/** Call the API; `path` begins with a slash. Gives the body, or throws `Refused` or `Unreachable`. */
export async function call(method, path, body) {
  const headers = { Accept: "application/json" };
  if (method !== "GET") headers["X-CSRF-Token"] = meta.content;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const text = body === undefined ? undefined : JSON.stringify(body);
  let response;
  try {
    response = await fetch(base + path, {
      method, headers, body: text, credentials: "same-origin", redirect: "error", signal: AbortSignal.timeout(20000),
      // An answer that was given just before the page closes still goes out.
      keepalive: text !== undefined && text.length < 30000,
    });
  } catch (error) {
    throw new Unreachable("the server does not answer", { cause: error });
  }
  const reply = await bodyOf(response);
  if (!response.ok) throw new Refused(response.status, reply.error ?? `the server answered ${response.status}`);
  return reply;
}

export const get = (path) => call("GET", path);
export const post = (path, body = {}) => call("POST", path, body);
