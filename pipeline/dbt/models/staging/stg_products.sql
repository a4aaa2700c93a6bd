select
    product_id,
    sku,
    name,
    category,
    price,
    introduced_at
from {{ source('bronze', 'products') }}
