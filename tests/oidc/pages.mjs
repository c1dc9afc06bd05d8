// The pages people see: one form each, filled in already, so that whoever submits it as it stands has signed in.

const escaped = (text) => text.replace(/[&<>"]/g, (mark) => `&#${mark.charCodeAt(0)};`);

/** Whoever says no: everybody where DENY is set, else the account `mallory`. */
const denies = (account) => Boolean(process.env.DENY) || account === 'mallory';

const page = (prompt, account) => `<!DOCTYPE html>
<title>${prompt}</title>
<form method="post">
<input type="text" name="account" value="${escaped(account)}">
<input type="hidden" name="decision" value="${denies(account) ? 'deny' : 'approve'}">
<button>${prompt}</button>
</form>`;

async function form(ctx) {
  let text = '';
  for await (const chunk of ctx.req) text += chunk;
  return new URLSearchParams(text);
}

async function decided(provider, details, account) {
  if (details.prompt.name === 'login') return { login: { accountId: account } };
  const { clientId, scope } = { clientId: details.params.client_id, scope: details.params.scope };
  const known = details.grantId && (await provider.Grant.find(details.grantId));
  const grant = known || new provider.Grant({ accountId: details.session.accountId, clientId });
  if (scope) grant.addOIDCScope(scope);
  return { consent: { grantId: await grant.save() } };
}

/** Shows the page of an interaction, or takes what was said on it. */
export async function interaction(provider, ctx) {
  const details = await provider.interactionDetails(ctx.req, ctx.res);
  if (ctx.method === 'GET') {
    const account =
      details.session?.accountId ?? details.params.login_hint ?? process.env.ACCOUNT ?? 'alice';
    ctx.type = 'html';
    ctx.body = page(details.prompt.name, account);
    return;
  }
  const said = await form(ctx);
  const result =
    said.get('decision') === 'approve'
      ? await decided(provider, details, said.get('account'))
      : { error: 'access_denied', error_description: 'the person said no' };
  ctx.status = 303;
  ctx.redirect(await provider.interactionResult(ctx.req, ctx.res, result));
}
