/* The move of clauses T1, T4, T5 and T6, with callers that refresh meanwhile and deaths anywhere.
 *
 * Backend 0 is left for backend 1. Each has a refresh slot (a numbered token; 0: none) and an access slot (nothing, a
 * session, or a session marked as moved). Both locks of the session are one here, as every writer that may touch both
 * takes both, and a refresh takes the one of the slot it writes: two locks, taken in order.
 *
 * Broken on purpose:
 *   -DNO_MARK       copies without marking the source
 *   -DSPEND_MARKED  refreshes a session that is marked
 *   -DNOT_MOVING    pins the target without saying that sessions are still to come
 */
#define DEATHS 2
mtype = { nothing, session, marked };

byte  given = 1;  bool revoked = false;              /* the server, as in refresh.pml */
byte  refresh[2]; mtype access[2];
byte  pin = 0;    bool moving = false;
byte  lock[2];    byte deaths = 0;
bool  window = false, lost = false;

inline or_die() {
  if :: deaths < DEATHS -> deaths++; goto died :: skip fi
}
inline take(which) { atomic { lock[which] == 0 -> lock[which] = me } }
inline let_go() {
  atomic { if :: lock[0] == me -> lock[0] = 0 :: else fi; if :: lock[1] == me -> lock[1] = 0 :: else fi }
}

/* Under both locks: from -> to, from the start or from wherever it was left. */
inline bring(from, to) {
  if :: access[from] != nothing && !(access[from] == marked && access[to] != nothing) ->
        refresh[to] = refresh[from]; or_die();
#ifndef NO_MARK
        access[from] = marked; or_die();
#endif
        access[to] = session; or_die()
     :: else fi;
  if :: access[from] != nothing -> refresh[from] = 0; or_die(); access[from] = nothing; or_die() :: else fi
}

proctype Mover(byte me) {
  atomic { pin = 1;
#ifndef NOT_MOVING
    moving = true
#endif
  }
  or_die();
  take(0); take(1);
  bring(0, 1);
  let_go();
  moving = false;
  goto end;
died: let_go();
end: skip
}

/* A get that finds its token due. */
proctype Caller(byte me) {
  byte at, tries = 0, token, next; bool in_window = false;
again:
  if :: tries == 3 -> goto end :: else -> tries++ fi;
  at = pin;
  if :: access[at] == nothing ->
        /* Not here: it is brought along where it is on its way, or all are. */
        if :: (moving && pin == at) || access[1 - at] == marked -> take(0); take(1); bring(1 - at, at); let_go(); goto again
           :: else ->
              /* Nobody dead, nobody at work, and it is not found: then it is lost to its user. */
              atomic { if :: lock[0] == 0 && lock[1] == 0 && pin == at && !moving && access[at] == nothing -> lost = true
                          :: else fi };
              goto again
        fi
     :: access[at] == marked ->
        take(0); take(1);
        if :: access[at] == marked && access[1 - at] == nothing -> access[at] = session; or_die(); refresh[1 - at] = 0
           :: access[at] == marked && access[1 - at] != nothing -> bring(1 - at, at)
           :: else fi;
        let_go();
        goto again
     :: else fi;
  take(at);
#ifdef SPEND_MARKED
  if :: access[at] == nothing -> let_go(); goto again :: else fi;
#else
  if :: access[at] != session -> let_go(); goto again :: else fi;
#endif
  token = refresh[at];
  or_die();
  atomic {
    if :: token == given && !revoked -> given++; next = given; in_window = true
       :: else -> revoked = true; next = 0 fi
  }
  if :: next == 0 -> let_go(); goto end :: else fi;
  or_die();
  atomic { refresh[at] = next; in_window = false }
  or_die();
  let_go();
  goto end;
died:
  atomic { if :: in_window -> window = true :: else fi }
  let_go();
end: skip
}

init {
  atomic { refresh[0] = 1; access[0] = session; run Mover(1); run Caller(2); run Caller(3) }
  timeout;
  run Caller(4);
  timeout;
  assert(!revoked || window);
  assert(!lost);
  assert(access[0] != session || access[1] != session);                   /* never claimed twice */
  assert(access[pin] == nothing || window || refresh[pin] == given || access[1 - pin] != nothing);
}
