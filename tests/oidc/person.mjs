// What the scripted browser and the scripted second device share: cookies, redirects and forms as they stand.

const attribute = (tag, name) => {
  const found = new RegExp(`\\s${name}="([^"]*)"`).exec(tag)?.[1];
  return found?.replace(/&#(\d+);/g, (_, code) => String.fromCharCode(code));
};

/** The first form of a page: where it goes, and what stands in it. */
export function form(html, at) {
  const opening = /<form[^>]*>/.exec(html)?.[0];
  if (!opening) return undefined;
  const fields = new URLSearchParams();
  for (const [tag] of html.matchAll(/<input[^>]*>/g)) {
    const name = attribute(tag, 'name');
    if (name) fields.append(name, attribute(tag, 'value') ?? '');
  }
  return { action: new URL(attribute(opening, 'action') || at, at), fields };
}

/** Somebody before a browser, who has cookies for one server. */
export class Person {
  #cookies = [];

  constructor(server) {
    this.server = server;
  }

  #remember(response) {
    for (const line of response.headers.getSetCookie()) {
      const [pair, ...attributes] = line.split(/;\s*/);
      const at = pair.indexOf('=');
      const name = pair.slice(0, at);
      const said = attributes.map((text) => text.split('='));
      const path = said.find(([key]) => key.toLowerCase() === 'path')?.[1] ?? '/';
      const expires = said.find(([key]) => key.toLowerCase() === 'expires')?.[1];
      this.#cookies = this.#cookies.filter((cookie) => cookie.name !== name || cookie.path !== path);
      if (!expires || Date.parse(expires) > Date.now()) this.#cookies.push({ name, path, pair });
    }
  }

  /** One request of the server, with the cookies that are for it. */
  async #ask(url, fields) {
    const within = ({ path }) => url.pathname === path || url.pathname.startsWith(path.replace(/\/?$/, '/'));
    const cookie = this.#cookies.filter(within).map(({ pair }) => pair).join('; ');
    const method = fields ? 'POST' : 'GET';
    const response = await fetch(url, { method, body: fields, headers: { cookie }, redirect: 'manual' });
    this.#remember(response);
    return response;
  }

  /** Opens an address of the server and follows it until a page is shown, or away from the server. */
  async open(url, fields) {
    for (let steps = 0; steps < 20; steps += 1) {
      if (url.origin !== this.server) return { away: url };
      const response = await this.#ask(url, fields);
      const location = response.headers.get('location');
      if (!location) {
        const html = await response.text();
        return { url, status: response.status, html, form: form(html, url) };
      }
      url = new URL(location, url);
      fields = undefined;
    }
    throw new Error('it redirects without end');
  }

  /** The same, and submits every form as it stands. */
  async agree(shown) {
    for (let pages = 0; shown.form; pages += 1) {
      if (pages > 10) throw new Error('it asks without end');
      shown = await this.open(shown.form.action, shown.form.fields);
    }
    return shown;
  }
}
