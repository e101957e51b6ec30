"""The legend: one meaning a letter, in Python, in operator schemas and in C++.

    T  time steps          N  sequences in a batch      D  input width
    H  hidden width        G  gates                     L  layers
    V  vocabulary          K  patterns, or neighbours

Time comes first inside: ``(T, N, ...)``; ``batch_first`` exists only at the public border.

    x        input (N, D)               h, c     hidden state, cell state (N, H)
    a_i a_f  pre-activations            i f g o  LSTM: input, forget, candidate, output gate
    r z n    GRU: reset gate, update gate, candidate
    dx dh    gradient of the loss with respect to x, h

Weights of several gates stand under one another in one matrix, ``(G*H, D)`` and ``(G*H, H)``, in
torch's gate order. The lecture writes the LSTM's gates i, f, o, g.
"""

LSTM_GATES = "i f g o"
LSTM_1997_GATES = "i g o"
GRU_GATES = "r z n"
