#!/usr/bin/env node
// A browser with a person before it, who signs in and agrees to whatever stands on the page: `browser.mjs URL`. It
// ends with 0 once the address that the server sent it on to has answered well; with BROWSER_PRINTS it prints that
// address and does not go there.
import { Person } from './person.mjs';

const url = new URL(process.argv[2]);
const person = new Person(url.origin);
const { away, status, html } = await person.agree(await person.open(url));
if (!away) {
  console.error(`the server ends with ${status}: ${html}`);
  process.exit(1);
}
if (process.env.BROWSER_PRINTS) {
  process.stdout.write(`${away.href}\n`);
  process.exit(0);
}
const answer = await fetch(away, { redirect: 'manual' });
await answer.text();
process.exit(answer.status < 400 ? 0 : 1);
