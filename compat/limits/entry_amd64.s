//go:build linux

#include "textflag.h"

// The program's entry point (go build -ldflags "-E …/compat/limits.entry").
// It runs before the Go runtime exists: no stack growth, no g, the kernel's
// registers and stack as execve left them. See the package comment.

#define SYS_write       1
#define SYS_sigaction   13
#define SYS_fcntl       72
#define SYS_prctl       157
#define SYS_exit_group  231
#define SYS_prlimit64   302

#define F_GETFD 1

#define PR_SET_TIMERSLACK 29

#define RLIMIT_DATA 2
#define RLIMIT_NOFILE 7
#define RLIMIT_AS   9

TEXT ·entry(SB),NOSPLIT|NOFRAME,$0
	// The runtime opens /dev/null on whichever of 0 to 2 is closed.
	XORL DI, DI
closed:
	MOVL $F_GETFD, SI
	MOVL $SYS_fcntl, AX
	SYSCALL
	TESTQ AX, AX
	JGE  isOpen
	LEAQ ·closedFDs(SB), DX
	MOVB $1, (DX)(DI*1)
isOpen:
	INCL DI
	CMPL DI, $3
	JLT  closed

	CMPQ ·deaf+8(SB), $0
	JEQ  hears
	MOVL $1, DI // SIGHUP
	LEAQ ·ignore(SB), SI
	XORL DX, DX
	MOVL $8, R10
	MOVL $SYS_sigaction, AX
	SYSCALL
	MOVL $2, DI // SIGINT
	MOVL $SYS_sigaction, AX
	SYSCALL
hears:
	// See timerSlack and brief.
	MOVL $PR_SET_TIMERSLACK, DI
	MOVQ ·timerSlack(SB), SI
	CMPQ ·brief+8(SB), $0
	JEQ  slack
	MOVQ ·startSlack(SB), SI
slack:
	MOVL $SYS_prctl, AX
	SYSCALL

	// prlimit64(0, RLIMIT_NOFILE, nil, &savedFiles)
	XORL DI, DI
	MOVL $RLIMIT_NOFILE, SI
	XORL DX, DX
	LEAQ ·savedFiles(SB), R10
	MOVL $SYS_prlimit64, AX
	SYSCALL
	// See few.
	CMPQ ·few+8(SB), $0
	JEQ  many
	MOVQ ·fewest(SB), AX
	CMPQ AX, ·savedFiles(SB)
	JCC  many
	MOVQ AX, ·wanted(SB)
	MOVQ ·savedFiles+8(SB), AX
	MOVQ AX, ·wanted+8(SB)
	LEAQ ·wanted(SB), DX
	XORL R10, R10
	MOVL $SYS_prlimit64, AX
	SYSCALL
many:

	MOVL $RLIMIT_DATA, SI
	LEAQ ·savedData(SB), R10
	CALL ·raise(SB)
	MOVL $RLIMIT_AS, SI
	LEAQ ·savedAS(SB), R10
	CALL ·raise(SB)

	// A hard limit below what the runtime reserves before main would make
	// it die with status 2, which spawners report as a permanent failure.
	MOVQ ·savedAS+8(SB), AX
	TESTQ AX, AX
	JEQ  start
	MOVQ ·leastAS(SB), CX
	CMPQ AX, CX
	JCC  start
	MOVL $SYS_write, AX
	MOVL $2, DI
	MOVQ ·complaint(SB), SI
	MOVQ ·complaint+8(SB), DX
	SYSCALL
	MOVL $SYS_exit_group, AX
	MOVQ ·exitCode(SB), SI
	MOVQ ·exitCode+8(SB), CX
	XORL DI, DI
digit:
	TESTQ CX, CX
	JEQ  leave
	IMULL $10, DI
	MOVBLZX (SI), DX
	SUBL $'0', DX
	ADDL DX, DI
	INCQ SI
	DECQ CX
	JMP  digit
leave:
	SYSCALL
start:
	// See traceback. argc and argv move down by two words, so that the
	// stack stays aligned, and the variable is there twice.
	MOVQ SP, SI
	MOVQ (SI), CX
	ADDQ $2, CX // argc itself, and the end of argv
	SUBQ $16, SP
	MOVQ SP, DI
	CLD
	REP; MOVSQ
	MOVQ ·traceback(SB), AX
	MOVQ AX, (DI)
	MOVQ AX, 8(DI)

	// Where one thread is to do, put the variable that says so behind the
	// others of the environment: everything below its place moves down.
	// Twice, so that the stack stays aligned.
	CMPQ ·threads+8(SB), $0
	JEQ  go
	MOVQ ·oneThread(SB), AX
	MOVQ SP, SI
	LEAQ -16(SP), DI
	MOVQ (SI), CX
	ADDQ $2, CX // argc, and the NULL behind argv
	CLD
	REP; MOVSQ
environ:
	CMPQ (SI), $0
	JEQ  insert
	MOVSQ
	JMP  environ
insert:
	MOVQ AX, (DI)
	MOVQ AX, 8(DI)
	SUBQ $16, SP
go:
	JMP _rt0_amd64_linux(SB)

// raise reads the limit SI into the pair at R10 and lifts its soft part to
// its hard part. Failure leaves the limit as it is.
TEXT ·raise(SB),NOSPLIT|NOFRAME,$0
	XORL DI, DI
	XORL DX, DX
	MOVL $SYS_prlimit64, AX
	SYSCALL
	TESTQ AX, AX
	JNE  done
	MOVQ 8(R10), AX
	MOVQ AX, ·wanted(SB)
	MOVQ AX, ·wanted+8(SB)
	XORL DI, DI
	LEAQ ·wanted(SB), DX
	XORL R10, R10
	MOVL $SYS_prlimit64, AX
	SYSCALL
done:
	RET
