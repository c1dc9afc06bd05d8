/* The lock of clauses K4 and K5: at most one process holds it, whoever dies at whatever moment.
 *
 * Files are inodes; the lock file's name stands for one of them or for none. The kernel's lock belongs to an inode, and
 * ends with its owner. Each step below is one system call.
 *
 * Broken on purpose, for `check` to see that the model can tell:
 *   -DNO_IDENTITY   does not compare the name's inode with the one it has locked
 *   -DUNLOCK_FIRST  lets the kernel's lock go before it takes the name away
 *   -DSTEAL         takes away the file of an owner it believes dead, instead of inheriting it
 */
#define PROCESSES 3
#define TRIES     5
#define DEATHS    2
#define INODES    10

byte name = 0;            /* the inode the name stands for; 0: no such file */
byte locked[INODES];      /* which process has the kernel's lock of an inode; 0: none */
byte written[INODES];     /* which process wrote its number into the file, for people */
bool dead[PROCESSES + 1];
byte fresh = 1;           /* the next inode */
byte holders = 0, deaths = 0;

inline or_die() {
  if :: deaths < DEATHS -> deaths++; goto died :: skip fi
}

proctype Process(byte me) {
  byte file, seen, tries = 0; bool holding = false;

again:
  file = 0; seen = 0;
  if :: tries == TRIES -> goto end :: else -> tries++ fi;

  atomic {                                  /* open with O_CREAT and O_EXCL */
    if :: name == 0 && fresh < INODES -> file = fresh; fresh++; name = file
       :: name == 0 && fresh == INODES -> goto end
       :: name != 0 -> skip fi
  }
  or_die();
  if :: file == 0 -> file = name :: else fi;          /* EEXIST: open the one there is */
  if :: file == 0 -> goto again :: else fi;           /* it vanished in between */
  or_die();

#ifdef STEAL
  atomic { seen = written[file] };
  if :: seen != 0 && dead[seen] -> or_die(); name = 0; goto again :: else fi;
#endif
  atomic {                                  /* flock, without waiting */
    if :: locked[file] == 0 -> locked[file] = me
       :: else -> file = 0 fi
  }
  if :: file == 0 -> goto again :: else fi;           /* busy */
  or_die();
#ifndef NO_IDENTITY
  atomic {                                  /* fstat of the file, lstat of the name */
    if :: name == file -> seen = file
       :: else -> seen = 0 fi
  }
  if :: seen == 0 -> locked[file] = 0; goto again :: else fi;
#endif
  written[file] = me;

  atomic { holding = true; holders++; assert(holders == 1) }
  or_die();
  atomic { holding = false; holders-- }

#ifdef UNLOCK_FIRST
  locked[file] = 0; or_die(); name = 0;
#else
  name = 0; or_die(); locked[file] = 0;
#endif
  goto end;

died:
  atomic {
    dead[me] = true;
    if :: holding -> holding = false; holders-- :: else fi;
    seen = 1;
    do :: seen < INODES -> if :: locked[seen] == me -> locked[seen] = 0 :: else fi; seen++
       :: else -> break od
  }
end: skip
}

init {
  byte number = 1;
  atomic { do :: number <= PROCESSES -> run Process(number); number++ :: else -> break od }
}
