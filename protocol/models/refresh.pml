/* The refresh transaction of clauses R13 and R14 against a server that rotates refresh tokens and revokes the session
 * when it sees a spent one.
 *
 * Refresh tokens are numbered; the server takes the last one it gave. The store holds a refresh token and whether the
 * access token beside it can still be used. The lock is taken for granted: it is the other model.
 *
 * Broken on purpose:
 *   -DACCESS_FIRST  writes the access slot before the refresh slot
 *   -DNO_REREAD     sends the refresh token it read before it had the lock
 *   -DBARE_ERASE    erases without the lock
 */
#define CALLERS 3
#define DEATHS  2
#define EXPIRIES 2

byte given = 1;                          /* the last refresh token the server gave */
bool revoked = false;                    /* it has seen a spent one */
byte stored = 1;                         /* the refresh slot; 0: empty */
byte buried = 0;                         /* the token under the tombstone (R18) */
bool usable = false;                     /* the access slot has a token that is good */
bool ended = false;                      /* somebody erased the session */
byte lock = 0, deaths = 0, requests = 0, expired = 0;
bool window = false;                     /* somebody died between rotation and refresh slot */

inline or_die() {
  if :: deaths < DEATHS -> deaths++; goto died :: skip fi
}

proctype Caller(byte me) {
  byte token, next; bool good, in_window = false;

  atomic { good = usable; token = stored }
  if :: good || token == 0 -> goto end :: else fi;
  atomic { lock == 0 -> lock = me }
#ifndef NO_REREAD
  atomic { good = usable; token = stored }
  if :: good || token == 0 -> goto release :: else fi;
#endif
  if :: token == buried -> goto release :: else fi;
  or_die();

  atomic {                               /* the request, and its answer */
    requests++;
    if :: !revoked && token == given -> given++; next = given; in_window = true
       :: else -> revoked = true; next = 0 fi
  }
  if :: next == 0 -> buried = token; goto release :: else fi;
  or_die();
#ifdef ACCESS_FIRST
  usable = true; or_die();
  atomic { stored = next; in_window = false }
#else
  atomic { stored = next; in_window = false }
  or_die();
  usable = true;
#endif
  or_die();

release:
  lock = 0;
  goto end;
died:
#ifdef ACCESS_FIRST
  /* The window is the one write that cannot be helped: from the answer to the very next write. */
  atomic { if :: in_window && !usable -> window = true :: else fi; if :: lock == me -> lock = 0 :: else fi }
#else
  atomic { if :: in_window -> window = true :: else fi; if :: lock == me -> lock = 0 :: else fi }
#endif
end: skip
}

/* Time: an access token that was good is not any more, and somebody calls again. */
active proctype Time() {
  do :: expired < EXPIRIES && usable -> atomic { usable = false; expired++; run Caller(CALLERS + expired) }
     :: break od
}

active proctype Eraser() {
  if :: skip
     :: true ->
#ifndef BARE_ERASE
        atomic { lock == 0 -> lock = 99 }
#endif
        stored = 0;
        usable = false;
        ended = true;
#ifndef BARE_ERASE
        lock = 0
#endif
  fi
}

init {
  byte number = 1;
  atomic { do :: number <= CALLERS -> run Caller(number); number++ :: else -> break od }
  timeout;
  assert(!revoked || window);                            /* lost through that window alone */
  assert(!ended || (stored == 0 && !usable));            /* nothing comes back from the dead */
  assert(requests <= 1 + expired + deaths);              /* one request for each time it was due */
}
