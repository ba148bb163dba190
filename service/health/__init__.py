"""Whether everything that AURA needs is there and works, measured; what can run; what to do where it is not.

component    the state of one component, and the report over all
checks       of this machine: kernels, GPU, models, disk, memory, clock, recovery store
broker       of Kafka: the broker and the topics
running      of a flow that runs
doctor       `aura doctor`
"""
