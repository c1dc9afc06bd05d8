#!/usr/bin/env node
// A person with another device: `device.mjs VERIFICATION_URI USER_CODE approve|deny`.
import { Person } from './person.mjs';

const [uri, userCode, decision] = process.argv.slice(2);
const url = new URL(uri);
const person = new Person(url.origin);
const asked = await person.open(url);
asked.form.fields.set('user_code', userCode);
const confirmed = await person.open(asked.form.action, asked.form.fields);
if (decision === 'deny') {
  confirmed.form.fields.delete('confirm');
  confirmed.form.fields.set('abort', 'yes');
  await person.open(confirmed.form.action, confirmed.form.fields);
} else {
  const { status, html } = await person.agree(confirmed);
  if (status !== 200 || !html.includes('Success')) {
    console.error(`the server ends with ${status}: ${html}`);
    process.exit(1);
  }
}
