-- Agents are replaced in place: what each node's runs, what it was told to run, and how the roll-out of a release stands.
alter table nodes
    -- As its agent said last. Null: it has not said, or is older than the words for it.
    add column agent_protocol int,
    add column agent_release  text,
    -- SHA-256 of the archive that its agent was told to run. Null: whichever it came with.
    add column agent_wanted   text,
    add column agent_told_at  timestamptz;
-- Those that run another than a given one are before and after it.
create index nodes_by_agent on nodes (agent_release) where state = 'launched';

create table agent_rollouts (
    release    text primary key,
    -- Grows when an operator asks again for what had failed.
    attempt    bigint not null default 1,
    begun_at   timestamptz not null default now(),
    -- Nobody else is told of it since then, for this node's sake.
    stopped_at timestamptz,
    node_id    uuid,
    why        text,
    check ((stopped_at is null) = (why is null))
);

-- Which one a process of control would have nodes run: while they do not agree, no node is told anything.
alter table controls add column agent_release text;
