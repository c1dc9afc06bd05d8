// Where the server keeps what it has granted: one map, which ends with the process.

const kept = new Map();

/** The adapter oidc-provider asks for; one for each of its models, all over the same map. */
export class Kept {
  constructor(model) {
    this.model = model;
  }

  #entries() {
    const now = Date.now();
    return [...kept].filter(([, entry]) => entry.model === this.model && entry.until > now);
  }

  #where(wanted) {
    const found = this.#entries().find(([, { payload }]) => wanted(payload));
    return found && structuredClone(found[1].payload);
  }

  #key(id) {
    return `${this.model} ${id}`;
  }

  async upsert(id, payload, expiresIn) {
    const until = expiresIn ? Date.now() + expiresIn * 1000 : Infinity;
    kept.set(this.#key(id), { model: this.model, payload: structuredClone(payload), until });
  }

  async find(id) {
    const entry = kept.get(this.#key(id));
    return entry && entry.until > Date.now() ? structuredClone(entry.payload) : undefined;
  }

  async findByUid(uid) {
    return this.#where((payload) => payload.uid === uid);
  }

  async findByUserCode(userCode) {
    return this.#where((payload) => payload.userCode === userCode);
  }

  async consume(id) {
    const entry = kept.get(this.#key(id));
    if (entry) entry.payload.consumed = Math.floor(Date.now() / 1000);
  }

  async destroy(id) {
    kept.delete(this.#key(id));
  }

  async revokeByGrantId(grantId) {
    for (const [key, { payload }] of this.#entries()) {
      if (payload.grantId === grantId) kept.delete(key);
    }
  }
}
