variable "name" {
  description = "Names everything that is made, and this installation in the tags of tenants' instances."
  type        = string
  default     = "updraft"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,16}[a-z0-9]$", var.name))
    error_message = "name takes 3 to 18 of a-z, 0-9 and -, begins with a letter and ends with none of -: it becomes part of the names of balancers and of clusters' buckets, which begin with 40 signs at most."
  }
}

variable "domain" {
  description = "Console and API are at this name, agents' control at `agents.`, tunnels at `tunnels.` below it: \"updraft.example.com\"."
  type        = string
}

variable "airflow_domain" {
  description = "Each cluster has a host of its own below this name: \"airflow.example.com\" gives c19289.airflow.example.com. Not below `domain`, so that no Airflow can set a cookie for the console."
  type        = string

  validation {
    condition     = var.airflow_domain != var.domain && !endswith(var.airflow_domain, ".${var.domain}") && !endswith(var.domain, ".${var.airflow_domain}")
    error_message = "airflow_domain and domain must not lie below each other: Airflow's pages belong to tenants, the console's do not."
  }
}

variable "certificate_arn" {
  description = "Of a certificate of ACM in this region for `domain`, `agents.<domain>` and `*.<airflow_domain>`."
  type        = string
}

variable "zone_id" {
  description = "Route 53 zone in which records are made for `domain`; null: the outputs say what to make elsewhere."
  type        = string
  default     = null
}

variable "airflow_zone_id" {
  description = "The same for `airflow_domain`."
  type        = string
  default     = null
}

variable "network" {
  description = "A VPC that is there already, with subnets in two or more zones; null: one is made."
  type = object({
    vpc_id              = string
    public_subnet_ids   = list(string)
    public_subnet_cidrs = list(string) # theirs: balancers ask from there, and are believed about people's addresses
    private_subnet_ids  = list(string)
    egress_cidrs        = list(string) # what the private subnets come from, seen from outside: its NAT gateways
  })
  default = null

  validation {
    condition     = var.network == null ? true : length(var.network.public_subnet_ids) >= 2 && length(var.network.private_subnet_ids) >= 2
    error_message = "network needs two public and two private subnets at least, in different zones: balancers and databases ask for it."
  }
  validation {
    condition     = var.network == null ? true : length(var.network.public_subnet_cidrs) >= 1 && alltrue([for cidr in var.network.public_subnet_cidrs : try(cidrsubnet(cidr, 0, 0), "") == cidr && !endswith(cidr, "/0")])
    error_message = "network's public_subnet_cidrs are the public subnets' ranges, as in 10.64.0.0/24."
  }
}

variable "zones" {
  description = "Two or three availability zones for the VPC that is made: [\"eu-central-1a\", \"eu-central-1b\"]. Named, since a zone that AWS adds must not move subnets."
  type        = list(string)
  default     = []

  validation {
    condition     = var.network != null || contains([2, 3], length(var.zones))
    error_message = "zones names two or three availability zones, unless `network` brings subnets."
  }
}

variable "cidr" {
  description = "Of the VPC that is made: a /20 or larger."
  type        = string
  default     = "10.64.0.0/20"

  validation {
    condition     = can(cidrhost(var.cidr, 0)) && tonumber(split("/", var.cidr)[1]) <= 20
    error_message = "cidr is an IPv4 range of /20 or larger, as in 10.64.0.0/20."
  }
}

variable "nat_per_zone" {
  description = "A NAT gateway in each zone instead of one for all: the loss of a zone then takes no outbound traffic of the others."
  type        = bool
  default     = true
}

variable "allowed_cidrs" {
  description = "Who may reach the balancers. Agents come from tenants' networks, so narrow it only where you know these. Edges are let in beside it."
  type        = list(string)
  default     = ["0.0.0.0/0"]
}

variable "size" {
  description = "`small`, `medium` or `large`: see terraform/README.md for what each is for and costs."
  type        = string
  default     = "small"

  validation {
    condition     = contains(["small", "medium", "large"], var.size)
    error_message = "size is small, medium or large."
  }
}

variable "image_id" {
  description = "AMI of control and edges; null: the newest Debian 12 for x86-64 that AWS's parameter names at the time of `apply`."
  type        = string
  default     = null
}

variable "release" {
  description = "The `updraft` binary that control and edges run: its key in the bucket of artifacts, and its SHA-256."
  type = object({
    key    = string
    sha256 = string
  })

  validation {
    condition     = can(regex("^[0-9a-f]{64}$", var.release.sha256))
    error_message = "release.sha256 is 64 hexadecimal digits in lower case: sha256sum prints them."
  }
}

variable "nodes" {
  description = "Where nodes are and what they are: docs/ec2.md says what each means. `cidrs`: what they connect to the metadata server from, tenants' networks included; docs/runbook.md says how these are attached. Null leaves it to control."
  type = object({
    account          = optional(object({ role = string, external_id = string })) # required; see below
    subnets          = list(string)
    cidrs            = list(string)
    security_groups  = list(string)
    image            = string
    instance_profile = string
    root_gib         = optional(number, 30)
    root_device      = optional(string, "/dev/xvda")
    instance_types   = object({ scheduler = string, web = string, worker = string })
    spot_workers     = optional(bool, false)
    runtimes         = list(string)
    archives         = list(object({ sha256 = string, directory = string, key = string }))
    metadata_address = optional(string)
    shared_account   = optional(bool)
    agents_first_in  = optional(number)
    on_stop          = optional(string)
  })

  validation {
    condition     = can(regex("^arn:[a-z-]+:iam::[0-9]{12}:role/[^*?]+$", var.nodes.account.role)) && can(regex("^updraft-[0-9a-f]{32}$", var.nodes.account.external_id))
    error_message = "nodes.account has to name the role that starts nodes, since control itself may do nothing at EC2: apply modules/tenant-account in the account that nodes are to be in (this one, too: examples/complete), with an external id that `updraft provider external-id` makes, and give its output role_arn and that id here."
  }
  validation {
    condition     = alltrue([for cidr in var.nodes.cidrs : try(cidrsubnet(cidr, 0, 0), "") == cidr && !endswith(cidr, "/0")])
    error_message = "nodes.cidrs are the ranges of nodes' networks, as in 10.80.0.0/16."
  }
  validation {
    condition     = var.nodes.metadata_address == null ? true : can(regex("^[A-Za-z0-9.-]+:[0-9]+$", var.nodes.metadata_address))
    error_message = "nodes.metadata_address is a host and a port, as in metadata.internal:5432."
  }
  validation {
    condition     = var.nodes.agents_first_in == null ? true : var.nodes.agents_first_in >= 1 && floor(var.nodes.agents_first_in) == var.nodes.agents_first_in
    error_message = "nodes.agents_first_in is a cluster's number: `updraft cluster list` shows it."
  }
  validation {
    condition     = var.nodes.on_stop == null ? true : contains(["end", "keep"], var.nodes.on_stop)
    error_message = "nodes.on_stop is end or keep: docs/ec2.md says what each costs."
  }
  validation {
    condition     = length(var.nodes.subnets) > 0 && length(var.nodes.runtimes) > 0
    error_message = "nodes takes at least one subnet and one runtime."
  }
  validation {
    condition     = contains([for archive in var.nodes.archives : archive.directory], "agent")
    error_message = "nodes.archives has to name the archive of the directory agent: see infra/boot/README.md."
  }
}

variable "tenant_role_arns" {
  description = "Roles in tenants' accounts that control may assume: the output `role_arn` of modules/tenant-account, for each tenant; or all that this module makes there, \"arn:aws:iam::*:role/updraft/*\". A role still lets in only who says its own external id, and control says to each the one that it made for that account."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for arn in var.tenant_role_arns : can(regex("^arn:[a-z-]+:iam::([0-9]{12}:role/[^*?]+|([0-9]{12}|\\*):role/([A-Za-z0-9+=,.@_-]+/)+\\*)$", arn))])
    error_message = "tenant_role_arns are whole ARNs of roles, or all below a path, as in arn:aws:iam::*:role/updraft/*: a * stands for an account and for what follows a path, and nowhere else."
  }
  validation {
    condition     = length(join("\",\"", var.tenant_role_arns)) <= 6000
    error_message = "tenant_role_arns are too many for a role's policy, of which IAM takes 10,240 characters: name them by their path, \"arn:aws:iam::*:role/updraft/*\"."
  }
}

variable "mail" {
  description = "The mail server that links to set a new password go out by, on port 465 or 587: docs/sign-in.md. With `password` there is a secret for that of the user in `smtp_url`. Null: nobody is offered such a link."
  type = object({
    smtp_url = string
    from     = string
    password = optional(bool, true)
  })
  default = null

  validation {
    condition     = var.mail == null ? true : can(regex("^smtps?://([^/@:]+@)?[^/@:]+(:(465|587))?/?$", var.mail.smtp_url))
    error_message = "mail.smtp_url is smtps://user@mail.example.com:465 or smtp://user@mail.example.com:587, without the password, which becomes the secret smtp-password."
  }
}

variable "outbound_allow" {
  description = "What control and agents may reach for every tenant beyond https on the public internet: [\"idp.corp.internal:443\"]. Ports beside 443 and 8443 take a rule of yours, too: output `security_groups`, control."
  type        = list(string)
  default     = []
}

variable "package_index" {
  description = "What clusters' own Python packages come from. Null: the public index."
  type        = string
  default     = null

  validation {
    condition     = var.package_index == null ? true : can(regex("^https?://", var.package_index))
    error_message = "package_index is an address, as in https://packages.corp.example/simple."
  }
}

variable "log_retention_days" {
  description = "How long this installation's own logs (flow logs, databases) are kept."
  type        = number
  default     = 365
}

variable "protect" {
  description = "Keeps databases, buckets and balancers from being deleted. False only where nothing is of value."
  type        = bool
  default     = true
}

variable "alarm_topic_arns" {
  description = "SNS topics that alarms go to."
  type        = list(string)
  default     = []
}

variable "tags" {
  description = "On everything."
  type        = map(string)
  default     = {}
}
