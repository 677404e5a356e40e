-- What a provider said of somebody counts only while it is enabled.

create or replace view person_facts as
select m.tenant_id, m.user_id, m.role as tenant_role, u.email, u.name, u.origin = 'service' as is_service,
       array(
           select unnest(i.groups)
           from identities i join identity_providers p on p.id = i.provider_id and p.tenant_id = i.tenant_id and p.enabled
           where i.tenant_id = m.tenant_id and i.user_id = m.user_id
           union
           select g.display_name
           from scim_group_members s join scim_groups g on g.tenant_id = s.tenant_id and g.id = s.group_id
           where s.tenant_id = m.tenant_id and s.user_id = m.user_id
       ) as groups,
       -- An account of Updraft's own has whatever address was typed; of several providers all must vouch.
       u.origin = 'directory' and coalesce((
           select bool_and(i.email_verified)
           from identities i join identity_providers p on p.id = i.provider_id and p.tenant_id = i.tenant_id and p.enabled
           where i.tenant_id = m.tenant_id and i.user_id = m.user_id
       ), false) as email_vouched,
       array(
           select distinct lower(i.hosted_domain)
           from identities i join identity_providers p on p.id = i.provider_id and p.tenant_id = i.tenant_id and p.enabled
           where i.tenant_id = m.tenant_id and i.user_id = m.user_id and i.hosted_domain is not null
       ) as hosted_domains
from memberships m
join users u on u.id = m.user_id
where m.disabled_at is null;

create trigger providers_changed after update of enabled on identity_providers for each statement execute function notify_policy();
