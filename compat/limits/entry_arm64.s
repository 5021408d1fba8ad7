//go:build linux

#include "textflag.h"

// The program's entry point on arm64; see entry_amd64.s.

#define SYS_write       64
#define SYS_fcntl       25
#define SYS_sigaction   134
#define SYS_prctl       167
#define SYS_exit_group  94
#define SYS_prlimit64   261

#define F_GETFD 1

#define PR_SET_TIMERSLACK 29

#define RLIMIT_DATA 2
#define RLIMIT_NOFILE 7
#define RLIMIT_AS   9

TEXT ·entry(SB),NOSPLIT|NOFRAME,$0
	// The runtime opens /dev/null on whichever of 0 to 2 is closed.
	MOVD ZR, R9
	MOVD $·closedFDs(SB), R10
	MOVD $1, R11
closed:
	MOVD R9, R0
	MOVD $F_GETFD, R1
	MOVD $SYS_fcntl, R8
	SVC
	TBZ  $63, R0, isOpen
	MOVB R11, (R10)(R9)
isOpen:
	ADD  $1, R9, R9
	CMP  $3, R9
	BLT  closed

	MOVD ·deaf+8(SB), R9
	CBZ  R9, hears
	MOVD $1, R0 // SIGHUP
	MOVD $·ignore(SB), R1
	MOVD ZR, R2
	MOVD $8, R3
	MOVD $SYS_sigaction, R8
	SVC
	MOVD $2, R0 // SIGINT
	SVC
hears:
	MOVD $PR_SET_TIMERSLACK, R0
	MOVD ·timerSlack(SB), R1
	MOVD ·brief+8(SB), R9
	CBZ  R9, slack
	MOVD ·startSlack(SB), R1
slack:
	MOVD $SYS_prctl, R8
	SVC

	// prlimit64(0, RLIMIT_NOFILE, nil, &savedFiles)
	MOVD ZR, R0
	MOVD $RLIMIT_NOFILE, R1
	MOVD ZR, R2
	MOVD $·savedFiles(SB), R3
	MOVD $SYS_prlimit64, R8
	SVC
	MOVD ·few+8(SB), R9
	CBZ  R9, many
	MOVD ·fewest(SB), R9
	MOVD ·savedFiles(SB), R10
	CMP  R10, R9
	BHS  many
	MOVD R9, ·wanted(SB)
	MOVD ·savedFiles+8(SB), R10
	MOVD R10, ·wanted+8(SB)
	MOVD ZR, R0
	MOVD $RLIMIT_NOFILE, R1
	MOVD $·wanted(SB), R2
	MOVD ZR, R3
	MOVD $SYS_prlimit64, R8
	SVC
many:

	MOVD $RLIMIT_DATA, R1
	MOVD $·savedData(SB), R3
	BL   ·raise(SB)
	MOVD $RLIMIT_AS, R1
	MOVD $·savedAS(SB), R3
	BL   ·raise(SB)

	MOVD ·savedAS+8(SB), R9
	CBZ  R9, start
	MOVD ·leastAS(SB), R10
	CMP  R10, R9
	BHS  start
	MOVD $2, R0
	MOVD ·complaint(SB), R1
	MOVD ·complaint+8(SB), R2
	MOVD $SYS_write, R8
	SVC
	MOVD ·exitCode(SB), R1
	MOVD ·exitCode+8(SB), R2
	MOVD ZR, R0
	MOVD $10, R3
digit:
	CBZ  R2, leave
	MUL  R3, R0, R0
	MOVBU (R1), R4
	SUB  $48, R4, R4
	ADD  R4, R0, R0
	ADD  $1, R1, R1
	SUB  $1, R2, R2
	B    digit
leave:
	MOVD $SYS_exit_group, R8
	SVC
start:
	MOVD RSP, R0
	MOVD (R0), R1
	ADD  $2, R1, R1
	SUB  $16, RSP, RSP
	MOVD RSP, R2
word:
	MOVD.P 8(R0), R3
	MOVD.P R3, 8(R2)
	SUB  $1, R1, R1
	CBNZ R1, word
	MOVD ·traceback(SB), R3
	MOVD R3, (R2)
	MOVD R3, 8(R2)

	MOVD ·threads+8(SB), R0
	CBZ  R0, go
	MOVD ·oneThread(SB), R0
	MOVD RSP, R1
	SUB  $16, R1, R2
	MOVD R2, R4
	MOVD (R1), R3
	ADD  $2, R3, R3 // argc, and the NULL behind argv
argv:
	MOVD.P 8(R1), R5
	MOVD.P R5, 8(R2)
	SUB  $1, R3, R3
	CBNZ R3, argv
environ:
	MOVD (R1), R5
	CBZ  R5, insert
	ADD  $8, R1, R1
	MOVD.P R5, 8(R2)
	B    environ
insert:
	MOVD R0, (R2)
	MOVD R0, 8(R2)
	MOVD R4, RSP
go:
	B _rt0_arm64_linux(SB)

TEXT ·raise(SB),NOSPLIT|NOFRAME,$0
	MOVD R3, R9
	MOVD ZR, R0
	MOVD ZR, R2
	MOVD $SYS_prlimit64, R8
	SVC
	CBNZ R0, done
	MOVD 8(R9), R10
	MOVD R10, ·wanted(SB)
	MOVD R10, ·wanted+8(SB)
	MOVD ZR, R0
	MOVD $·wanted(SB), R2
	MOVD ZR, R3
	MOVD $SYS_prlimit64, R8
	SVC
done:
	RET (R30)
