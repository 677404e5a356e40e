# What a tenant gives Updraft in the tenant's own account: one role that control assumes, and roles for nodes.

data "aws_caller_identity" "this" {}

data "aws_partition" "this" {}

locals {
  account   = data.aws_caller_identity.this.account_id
  partition = data.aws_partition.this.partition
  tags      = merge({ "updraft:installation" = var.installation }, var.tags)

  # As a list only while there are several: a role that has one is not changed. Both sides of a condition have one type, hence as JSON.
  external_ids = jsondecode(length(var.other_external_ids) == 0 ? jsonencode(var.external_id) : jsonencode(concat([var.external_id], var.other_external_ids)))

  # The same file is what Updraft's console and command line print for an account.
  permissions = jsondecode(templatefile("${path.module}/permissions.json.tftpl", {
    partition        = local.partition
    account          = local.account
    installation     = var.installation
    regions          = jsonencode(var.regions)
    instance_types   = jsonencode(var.instance_types)
    image_parameters = jsonencode(concat(["arn:${local.partition}:ssm:*::parameter/aws/service/*"], var.image_parameter_arns))
    image_owners     = jsonencode(concat([local.account, split(":", var.updraft_role_arn)[4]], var.image_owners))
    node_roles       = jsonencode([for role in aws_iam_role.node : role.arn])
    places           = jsonencode(concat(var.subnet_arns, var.security_group_arns, var.key_pair_arns))
    makes_groups     = length(var.vpc_arns) > 0
    vpcs             = jsonencode(var.vpc_arns)
    own_keys         = length(var.kms_key_arns) > 0
    keys             = jsonencode(var.kms_key_arns)
  }))
}

resource "aws_iam_role" "updraft" {
  name                 = "${var.name}-control"
  path                 = var.path
  description          = "Assumed by Updraft to start and end this tenant's nodes"
  max_session_duration = 3600
  tags                 = local.tags

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { AWS = var.updraft_role_arn }
      Condition = { StringEquals = { "sts:ExternalId" = local.external_ids } }
    }]
  })
}

resource "aws_iam_role_policy" "updraft" {
  name   = "nodes"
  role   = aws_iam_role.updraft.id
  policy = jsonencode(local.permissions)
}

resource "aws_iam_role" "node" {
  for_each    = var.nodes
  name        = "${var.name}-node-${each.key}"
  description = "Nodes of Updraft: ${each.key}"
  tags        = local.tags

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "ec2.amazonaws.com" }
    }]
  })
}

# IAM takes no policy that says nothing.
resource "aws_iam_role_policy" "node" {
  for_each = { for name, node in var.nodes : name => node if length(concat(node.writes, node.reads)) > 0 }
  name     = "prefixes"
  role     = aws_iam_role.node[each.key].id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [for places in [each.value.writes] : {
        Sid      = "WriteBelowItsPrefixes"
        Effect   = "Allow"
        Action   = ["s3:AbortMultipartUpload", "s3:DeleteObject", "s3:GetObject", "s3:PutObject"]
        Resource = [for place in places : "arn:${local.partition}:s3:::${place}*"]
      } if length(places) > 0],
      [for places in [each.value.reads] : {
        Sid      = "ReadOnly"
        Effect   = "Allow"
        Action   = "s3:GetObject"
        Resource = [for place in places : "arn:${local.partition}:s3:::${place}*"]
      } if length(places) > 0],
      [for index, place in concat(each.value.writes, each.value.reads) : {
        Sid       = "List${index}"
        Effect    = "Allow"
        Action    = "s3:ListBucket"
        Resource  = "arn:${local.partition}:s3:::${split("/", place)[0]}"
        Condition = { StringLike = { "s3:prefix" = "${join("/", slice(split("/", place), 1, length(split("/", place))))}*" } }
      }],
    )
  })
}

resource "aws_iam_instance_profile" "node" {
  for_each = var.nodes
  name     = aws_iam_role.node[each.key].name
  role     = aws_iam_role.node[each.key].name
  tags     = local.tags
}
