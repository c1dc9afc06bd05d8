/* The lock of a refresh, which has two owners (clause K10): the process that was called takes it and hands a descriptor of
 * it on to its worker; the worker asks the server; the file is removed by one of the two, and either may die anywhere.
 *
 * Files are inodes, as in lock.pml. A kernel's lock belongs to an open file, here named by the caller that opened it, and
 * ends when the last descriptor of it is closed. Somebody may remove the file by hand, but not while a request is under
 * way: that no program can see in time.
 *
 * Broken on purpose, for `check` to see that the model can tell:
 *   -DNO_WAIT      the caller goes on without waiting for the end of its worker
 *   -DNO_IDENTITY  the worker does not make sure that the lock is the one the name stands for
 *   -DBOTH_REMOVE  the worker removes the file though its caller lives, and is still to read what was saved
 *   -DNO_HANDOVER  the worker relies on its caller's descriptor, and has none of its own
 */
#define CALLERS 2
#define TRIES   4
#define DEATHS  2
#define INODES  6

byte name = 0;               /* the inode the name stands for; 0: no such file */
byte locked[INODES];         /* whose open file has the kernel's lock of an inode; 0: none */
byte descriptors[CALLERS + 1];
bool called[CALLERS + 1];    /* the caller lives */
bool worked[CALLERS + 1];    /* its worker has ended */
byte fresh = 1, requests = 0, deaths = 0;
bool by_hand = false;

inline or_die() {
  if :: deaths < DEATHS -> deaths++; goto died :: skip fi
}

/* The last one lets go of the lock. */
inline close_descriptor(whose, inode) {
  atomic {
    descriptors[whose]--;
    if :: descriptors[whose] == 0 -> locked[inode] = 0 :: else -> skip fi
  }
}

/* Looked at and removed in one step: what lies between is the hand's alone. */
inline remove_own(inode) {
  atomic { if :: name == inode -> name = 0 :: else -> skip fi }
}

proctype Worker(byte me; byte file) {
  bool heard, asking = false;

  or_die();
  atomic {
#ifndef NO_IDENTITY
    if :: name != file -> goto declined :: else -> skip fi;
#endif
    asking = true; requests++; assert(requests == 1)
  }
  or_die();
  atomic { asking = false; requests-- }
  or_die();

declined:
  heard = called[me];                       /* whether anybody reads the report */
  or_die();
#ifndef BOTH_REMOVE
  if :: heard -> skip :: else -> remove_own(file) fi;
#else
  remove_own(file);
#endif
died:
  atomic {
    if :: asking -> requests-- :: else -> skip fi;
#ifndef NO_HANDOVER
    descriptors[me]--;
    if :: descriptors[me] == 0 -> locked[file] = 0 :: else -> skip fi;
#endif
    worked[me] = true
  }
}

proctype Caller(byte me) {
  byte file = 0, tries = 0;

  called[me] = true;
again:
  file = 0;
  if :: tries == TRIES -> goto end :: else -> tries++ fi;
  atomic {                                  /* open with O_CREAT and O_EXCL */
    if :: name == 0 && fresh < INODES -> file = fresh; fresh++; name = file
       :: name == 0 && fresh == INODES -> goto end
       :: name != 0 -> skip fi
  }
  if :: file == 0 -> file = name :: else -> skip fi;
  if :: file == 0 -> goto again :: else -> skip fi;
  atomic {                                  /* flock, without waiting */
    if :: locked[file] == 0 -> locked[file] = me; descriptors[me] = 1
       :: else -> file = 0 fi
  }
  if :: file == 0 -> goto again :: else -> skip fi;
  or_die();
  if :: name != file -> close_descriptor(me, file); goto again :: else -> skip fi;
  or_die();

  atomic {                                  /* fork: the descriptor is the worker's too */
#ifndef NO_HANDOVER
    descriptors[me]++;
#endif
    worked[me] = false;
    run Worker(me, file)
  }
  or_die();
#ifndef NO_WAIT
  worked[me];
#endif
  or_die();
  atomic {                                  /* reads what the worker has saved: nobody else is at it */
    if :: name == file || !by_hand -> assert(requests == 0) :: else -> skip fi
  }
  or_die();
  remove_own(file);
  or_die();
  close_descriptor(me, file);
  goto end;

died:
  atomic {
    called[me] = false;
    if :: file != 0 && locked[file] == me ->
         descriptors[me]--;
         if :: descriptors[me] == 0 -> locked[file] = 0 :: else -> skip fi
       :: else -> skip fi
  }
  goto over;
end:
  called[me] = false;
over:
  skip
}

/* Somebody who finds a lock file and thinks it is of no use. */
proctype Hand() {
  atomic { if :: requests == 0 && name != 0 -> name = 0; by_hand = true :: skip fi }
}

init {
  byte number = 1;
  atomic {
    do :: number <= CALLERS -> run Caller(number); number++ :: else -> break od;
    run Hand()
  }
  _nr_pr == 1;                              /* all are at their end */
  number = 1;
  do :: number < INODES -> assert(locked[number] == 0); number++ :: else -> break od
}
