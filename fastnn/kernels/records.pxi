# What the kernels share with Python: codes and the fields of a cursor.

cdef enum:
    SGD = 0
    NESTEROV = 1
    ADAM = 2

cdef enum:                  # fields of a cursor
    CURSOR_EPOCH = 0        # epochs finished
    CURSOR_ROW = 1          # the present batch's first row + how many of its rounds are done
    CURSOR_STEP = 2         # solver steps ever done (Adam's t)
    CURSOR_STATUS = 3
    CURSOR_FIRST = 4        # the epoch that it began with; written at the start
    CURSOR_STOP = 5         # epochs after which to finish

cdef enum:                  # values of cursor[CURSOR_STATUS]
    START = 0               # pack the parameters first
    RUNNING = 1             # the budget ran out
    FINISHED = 2
    DIVERGED = 3
    WEIGHTLESS = 4          # the weights of a batch add up to 0
