#include "textflag.h"

// func kernelNEON(k int, a, c *[4][]float32, panel *float32)
//
// The tile of c lives in V0 to V15, four registers a row. Each step loads 16
// elements of the panel into V16 to V19, and one element of each row of a,
// four times over, into V20 to V23.
TEXT ·kernelNEON(SB), NOSPLIT, $0-32
	MOVD k+0(FP), R0
	MOVD a+8(FP), R1
	MOVD c+16(FP), R2
	MOVD panel+24(FP), R3
	MOVD 0(R1), R4
	MOVD 24(R1), R5
	MOVD 48(R1), R6
	MOVD 72(R1), R7
	MOVD 0(R2), R8
	MOVD 24(R2), R9
	MOVD 48(R2), R10
	MOVD 72(R2), R11
	VLD1 (R8), [V0.S4, V1.S4, V2.S4, V3.S4]
	VLD1 (R9), [V4.S4, V5.S4, V6.S4, V7.S4]
	VLD1 (R10), [V8.S4, V9.S4, V10.S4, V11.S4]
	VLD1 (R11), [V12.S4, V13.S4, V14.S4, V15.S4]
	CBZ  R0, done

loop:
	VLD1.P  64(R3), [V16.S4, V17.S4, V18.S4, V19.S4]
	VLD1R.P 4(R4), [V20.S4]
	VLD1R.P 4(R5), [V21.S4]
	VLD1R.P 4(R6), [V22.S4]
	VLD1R.P 4(R7), [V23.S4]
	VFMLA   V16.S4, V20.S4, V0.S4
	VFMLA   V17.S4, V20.S4, V1.S4
	VFMLA   V18.S4, V20.S4, V2.S4
	VFMLA   V19.S4, V20.S4, V3.S4
	VFMLA   V16.S4, V21.S4, V4.S4
	VFMLA   V17.S4, V21.S4, V5.S4
	VFMLA   V18.S4, V21.S4, V6.S4
	VFMLA   V19.S4, V21.S4, V7.S4
	VFMLA   V16.S4, V22.S4, V8.S4
	VFMLA   V17.S4, V22.S4, V9.S4
	VFMLA   V18.S4, V22.S4, V10.S4
	VFMLA   V19.S4, V22.S4, V11.S4
	VFMLA   V16.S4, V23.S4, V12.S4
	VFMLA   V17.S4, V23.S4, V13.S4
	VFMLA   V18.S4, V23.S4, V14.S4
	VFMLA   V19.S4, V23.S4, V15.S4
	SUBS    $1, R0, R0
	BNE     loop

done:
	VST1 [V0.S4, V1.S4, V2.S4, V3.S4], (R8)
	VST1 [V4.S4, V5.S4, V6.S4, V7.S4], (R9)
	VST1 [V8.S4, V9.S4, V10.S4, V11.S4], (R10)
	VST1 [V12.S4, V13.S4, V14.S4, V15.S4], (R11)
	RET
